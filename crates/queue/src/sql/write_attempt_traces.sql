-- Says which traces attempts have of their own. Commits asynchronously: one lost in a server crash is a trace id that leads nowhere.
-- Arrays, parallel: $1 trace ids  $2 span ids  $3 jobs  $4 attempts
-- Locks: the new rows.
WITH async AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO haulage.attempt_traces (trace_id, span_id, job_id, attempt)
SELECT u.trace_id, u.span_id, u.job_id, u.attempt
FROM async, unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[]) AS u (trace_id, span_id, job_id, attempt)
