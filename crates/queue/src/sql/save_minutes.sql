-- Adds what a process has counted. Returns false when a row or the table was locked for longer than 50 ms: nothing is stored then.
-- $1 how many seconds ago the middle of the time was in which it was counted. Arrays, parallel: $2 queues  $3 kinds  $4 completed
-- $5 retried  $6 dead  $7 cancelled  $8 snoozed  $9 ms waited  $10 ms run  $11, $12 counts by length of the waits and runs, as texts
-- Locks: the rows, in one order. Index: the primary key.
SELECT haulage.save_minutes(
    $1::double precision, $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::text[], $12::text[]
)
