# Ends what a worker left behind when it was killed and could not do it itself. The worker holds the other end of our standard
# input: "+N" tells that process group N runs, "-N" that it has ended, and the end of input that the worker is gone.

# Whoever stops the worker's service may signal us too; we end when the worker has.
trap '' HUP INT TERM

groups=' '
while read -r line; do
    group=${line#?}
    case $line in
    +*) groups="$groups$group " ;;
    -*)
        case $groups in
        *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
        esac
        ;;
    esac
done

[ "$groups" = ' ' ] && exit
for group in $groups; do kill -s TERM -- "-$group"; done 2>/dev/null
sleep 2
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
