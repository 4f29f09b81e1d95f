-- Notes how many jobs wait and run, for this minute, its ten minutes and its hour; of what was noted before the most stays. Arrays, parallel:
-- $1 queues, '' for the sum of all  $2 in line  $3 parked  $4 running  $5 whether there are more
-- Locks: the rows, in one order. Index: the primary key.
INSERT INTO haulage.depths AS d (length, queue, start, available, parked, running, at_least)
SELECT
    l.length, u.queue, date_bin(make_interval(mins => l.length), now(), 'epoch'::timestamptz), u.available, u.parked, u.running, u.at_least
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[]) AS u (queue, available, parked, running, at_least),
    (VALUES (1), (10), (60)) AS l (length)
ORDER BY 1, 2
ON CONFLICT (length, queue, start) DO UPDATE
SET available = greatest(d.available, excluded.available), parked = greatest(d.parked, excluded.parked),
    running = greatest(d.running, excluded.running), at_least = d.at_least OR excluded.at_least
