-- One job with its progress, live or finished; while it is retried, with the error of its last attempt. $1 id. Index: the primary keys, one probe a history partition.
SELECT
    j.id, j.kind, j.queue, j.state, j.attempt, j.failures, j.max_attempts, j.run_at, j.created_at, j.claimed_at,
    NULL::timestamptz AS finished_at, p.percent, p.message, NULL::text AS output,
    CASE WHEN j.failures > 0 OR j.crashes > 0 THEN (
        SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1
    ) END AS error
FROM haulage.live_jobs AS j
LEFT JOIN haulage.progress AS p ON p.job_id = j.id AND j.state = 2 AND p.lease = j.lease
WHERE j.id = $1::bigint
UNION ALL
SELECT
    id, kind, queue, state, attempt, failures, max_attempts, run_at, created_at, claimed_at,
    finished_at, NULL::smallint, NULL::text, output::text, error
FROM haulage.finished_jobs
WHERE id = $1::bigint
LIMIT 1
