-- What a story tells of jobs, by id, with the time of the database. $1 ids
-- Index: the primary keys, one probe a history partition.
SELECT
    j.id, j.kind, j.queue, j.state, j.parked_for, j.attempt, j.failures, j.max_attempts, j.crashes, j.kind_revision, j.created_at, j.run_at,
    j.eligible_at, j.claimed_at, j.finished_at, j.parent_id, j.root_id, j.limit_key, j.has_unique_key, j.trace_id, j.span_id, j.trace_flags,
    j.origin, j.schedule, j.instant, j.error, w.name AS worker, w.started_at AS worker_started_at, now() AS now
FROM (
    SELECT
        l.id, l.kind, l.queue, l.state, l.parked_for, l.attempt, l.failures, l.max_attempts, l.crashes, l.kind_revision, l.created_at,
        l.run_at, l.eligible_at, l.claimed_at, NULL::timestamptz AS finished_at, l.parent_id, l.root_id, l.limit_key,
        l.unique_key IS NOT NULL AS has_unique_key, l.trace_id, l.span_id, l.trace_flags, l.origin::text AS origin,
        l.meta ->> 'schedule' AS schedule, l.meta ->> 'instant' AS instant, NULL::text AS error,
        (SELECT e.worker FROM haulage.leases AS e WHERE e.id = l.lease) AS worker
    FROM haulage.live_jobs AS l
    WHERE l.id = ANY ($1::bigint[])
    UNION ALL
    SELECT
        f.id, f.kind, f.queue, f.state, NULL::smallint, f.attempt, f.failures, f.max_attempts, f.crashes, f.kind_revision, f.created_at,
        f.run_at, f.eligible_at, f.claimed_at, f.finished_at, f.parent_id, f.root_id, f.limit_key,
        f.unique_key IS NOT NULL, f.trace_id, f.span_id, f.trace_flags, f.origin::text,
        f.meta ->> 'schedule', f.meta ->> 'instant', f.error, f.worker
    FROM haulage.finished_jobs AS f
    WHERE f.id = ANY ($1::bigint[])
) AS j
LEFT JOIN haulage.workers AS w ON w.id = j.worker
ORDER BY j.id
