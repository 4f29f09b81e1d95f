-- Says which traces attempts have of their own. Returns false when the table was locked for longer than 50 ms: nothing is stored then.
-- Arrays, parallel: $1 trace ids  $2 span ids  $3 jobs  $4 attempts
-- Locks: the new rows.
SELECT haulage.save_attempt_traces($1::uuid[], $2::bigint[], $3::bigint[], $4::int[])
