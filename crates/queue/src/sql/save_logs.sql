-- Stores the tails of what attempts logged. Arrays, parallel: $1 job ids  $2 attempts  $3 lines that were not kept  $4 lines, JSON texts
-- Returns false when a table was locked for longer than 50 ms: nothing is stored then.
-- Locks: the new rows. Index: the primary keys of these days' partitions of attempts, finished_completed and attempt_logs.
SELECT haulage.save_logs($1::bigint[], $2::int[], $3::int[], $4::text[])
