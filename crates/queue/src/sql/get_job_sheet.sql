-- All that a page shows of one job, live or finished. $1 id  $2 at most so many characters of args, meta, output. JSON comes as text:
-- a number keeps every digit. Index: the primary keys, one probe a history partition; leases by their key.
SELECT
    j.id, j.kind, j.queue, j.state, j.parked_for, j.attempt, j.failures, j.max_attempts, j.crashes, j.priority, j.kind_revision,
    j.run_at, j.eligible_at, j.created_at, j.claimed_at, NULL::timestamptz AS finished_at, j.timeout_ms, j.tags, j.limit_key,
    j.unique_key::text AS unique_key, j.parent_id, j.root_id, j.trace_id::text AS trace_id, j.origin::text AS origin,
    left(j.args::text, $2::int) AS args, length(j.args::text) AS args_length,
    left(j.meta::text, $2::int) AS meta, length(j.meta::text) AS meta_length,
    NULL::text AS output, NULL::int AS output_length,
    CASE WHEN j.failures > 0 OR j.crashes > 0 THEN (
        SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1
    ) END AS error,
    p.percent, p.message, p.updated_at, l.worker::text AS worker, w.name AS worker_name,
    c.reason AS cancel_reason, c.requested_at AS cancel_at
FROM haulage.live_jobs AS j
LEFT JOIN haulage.progress AS p ON p.job_id = j.id AND j.state = 2 AND p.lease = j.lease
LEFT JOIN haulage.leases AS l ON l.id = j.lease
LEFT JOIN haulage.workers AS w ON w.id = l.worker
LEFT JOIN haulage.cancel_requests AS c ON c.job_id = j.id AND j.state = 2
WHERE j.id = $1::bigint
UNION ALL
SELECT
    j.id, j.kind, j.queue, j.state, NULL::smallint, j.attempt, j.failures, j.max_attempts, j.crashes, j.priority, j.kind_revision,
    j.run_at, j.eligible_at, j.created_at, j.claimed_at, j.finished_at, j.timeout_ms, j.tags, j.limit_key,
    j.unique_key::text, j.parent_id, j.root_id, j.trace_id::text, j.origin::text,
    left(j.args::text, $2::int), length(j.args::text),
    left(j.meta::text, $2::int), length(j.meta::text),
    left(j.output::text, $2::int), length(j.output::text),
    j.error,
    NULL::smallint, NULL::text, NULL::timestamptz, j.worker::text, w.name,
    NULL::text, NULL::timestamptz
FROM haulage.finished_jobs AS j
LEFT JOIN haulage.workers AS w ON w.id = j.worker
WHERE j.id = $1::bigint
LIMIT 1
