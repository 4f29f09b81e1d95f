-- What runs, by queue and kind, and what of it is past its time: 20,000 jobs at most. Whose workers are gone or silent is told by why_orphans.sql.
-- Index: the primary keys.
SELECT
    r.queue, r.kind, count(*) AS jobs, min(r.claimed_at) AS oldest, max(r.claimed_at) AS newest,
    ARRAY[
        max(r.claimed_at) FILTER (WHERE r.priority = 0), max(r.claimed_at) FILTER (WHERE r.priority = 1),
        max(r.claimed_at) FILTER (WHERE r.priority = 2), max(r.claimed_at) FILTER (WHERE r.priority = 3)
    ] AS newest_of,
    (array_agg(r.id ORDER BY r.claimed_at))[1] AS oldest_job, (array_agg(r.worker ORDER BY r.claimed_at))[1] AS oldest_worker,
    count(*) FILTER (WHERE r.late) AS late, min(r.deadline) FILTER (WHERE r.late) AS deadline,
    (array_agg(r.id ORDER BY r.deadline) FILTER (WHERE r.late))[1] AS late_job,
    (array_agg(r.worker ORDER BY r.deadline) FILTER (WHERE r.late))[1] AS late_worker,
    (array_agg(r.timeout_ms ORDER BY r.deadline) FILTER (WHERE r.late))[1] AS late_timeout_ms,
    count(*) FILTER (WHERE r.cancel_at IS NOT NULL) AS cancelling, min(r.cancel_at) AS cancel_at,
    (array_agg(r.id ORDER BY r.cancel_at) FILTER (WHERE r.cancel_at IS NOT NULL))[1] AS cancel_job,
    (array_agg(r.worker ORDER BY r.cancel_at) FILTER (WHERE r.cancel_at IS NOT NULL))[1] AS cancel_worker
FROM (
    SELECT
        j.id, j.queue, j.kind, j.priority, j.claimed_at, j.timeout_ms, w.name AS worker, c.requested_at AS cancel_at,
        j.claimed_at + make_interval(secs => j.timeout_ms / 1000.0) AS deadline,
        -- Who was asked to stop is told as that.
        j.claimed_at + make_interval(secs => j.timeout_ms / 1000.0) < now() AND c.requested_at IS NULL AS late
    FROM haulage.leases AS l
    JOIN haulage.workers AS w ON w.id = l.worker AND w.dead_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => w.lease_ms / 1000.0)
    CROSS JOIN LATERAL unnest(l.ids) AS i (id)
    CROSS JOIN LATERAL (
        SELECT k.id, k.queue, k.kind, k.priority, k.claimed_at, k.timeout_ms
        FROM haulage.live_jobs AS k
        WHERE k.id = i.id AND k.lease = l.id
        OFFSET 0
    ) AS j
    LEFT JOIN haulage.cancel_requests AS c ON c.job_id = j.id
    LIMIT 20000
) AS r
GROUP BY r.queue, r.kind
