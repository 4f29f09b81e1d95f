-- The jobs of which an attempt has this trace as its own, the newest first. $1 trace id  $2 at most so many
-- Index: attempt_traces_trace, one probe a day.
SELECT t.job_id
FROM haulage.attempt_traces AS t
WHERE t.trace_id = $1::uuid
GROUP BY t.job_id
ORDER BY t.job_id DESC
LIMIT $2::bigint
