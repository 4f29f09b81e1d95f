#!/bin/sh
# Is not ready at its first attempt; asks to be run again in a second.
set -eu

if [ "$HAULAGE_ATTEMPT" = 1 ]; then
    echo "not ready yet" >&2
    echo 1
    exit 75
fi
printf '{"said": "%s from job %s"}\n' "$GREETING" "$HAULAGE_JOB_ID"
