-- Jobs that are recorded as running on workers that are dead, gone, or silent for half of their lease, by worker and queue; at most 20,000 jobs.
-- Index: the primary keys.
SELECT
    r.name AS worker, r.heartbeat_at, r.dead_at, r.lease_ms, r.queue, count(*) AS jobs, min(r.id) AS job, min(r.claimed_at) AS oldest
FROM (
    SELECT l.worker, w.name, w.heartbeat_at, w.dead_at, w.lease_ms, j.id, j.queue, j.claimed_at
    FROM haulage.leases AS l
    LEFT JOIN haulage.workers AS w ON w.id = l.worker
    CROSS JOIN LATERAL unnest(l.ids) AS i (id)
    CROSS JOIN LATERAL (
        SELECT k.id, k.queue, k.claimed_at FROM haulage.live_jobs AS k WHERE k.id = i.id AND k.lease = l.id OFFSET 0
    ) AS j
    WHERE w.id IS NULL OR w.dead_at IS NOT NULL OR w.heartbeat_at <= now() - make_interval(secs => w.lease_ms / 2000.0)
    LIMIT 20000
) AS r
GROUP BY r.worker, r.name, r.heartbeat_at, r.dead_at, r.lease_ms, r.queue
ORDER BY jobs DESC
LIMIT 200
