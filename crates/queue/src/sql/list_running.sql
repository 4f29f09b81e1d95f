-- Jobs that run, those that have run longest first. $1 only of this queue, NULL all  $2 only on this worker, NULL all  $3 at most so many.
-- What stands beside a job is looked up only for those. Index: the primary key, from the few rows of leases.
SELECT
    r.id, r.kind, r.queue, r.attempt, r.claimed_at, r.worker::text AS worker, w.name AS worker_name, p.percent, p.message,
    c.requested_at AS cancel_at
FROM (
    SELECT j.id, j.kind, j.queue, j.attempt, j.claimed_at, j.lease, l.worker
    FROM haulage.leases AS l
    CROSS JOIN LATERAL unnest(l.ids) AS i (id)
    CROSS JOIN LATERAL (
        SELECT k.id, k.kind, k.queue, k.attempt, k.claimed_at, k.lease FROM haulage.live_jobs AS k WHERE k.id = i.id AND k.lease = l.id OFFSET 0
    ) AS j
    WHERE ($1::text IS NULL OR j.queue = $1::text) AND ($2::bigint IS NULL OR l.worker = $2::bigint)
    ORDER BY j.claimed_at, j.id
    LIMIT $3::int
) AS r
LEFT JOIN haulage.workers AS w ON w.id = r.worker
LEFT JOIN haulage.progress AS p ON p.job_id = r.id AND p.lease = r.lease
LEFT JOIN haulage.cancel_requests AS c ON c.job_id = r.id
ORDER BY r.claimed_at, r.id
