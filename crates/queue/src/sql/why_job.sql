-- An unfinished job as it stands: its row, who holds it, whether somebody asked to cancel it, how far it has come. $1 id
-- xmax names the transaction that has the row locked, or had; not a fact by itself: see why_locker.sql.
-- Index: the primary keys.
SELECT
    j.state, j.place, j.parked_for, j.queue, j.kind, j.kind_revision, j.priority, j.pos, j.run_at, j.eligible_at, j.created_at, j.claimed_at,
    j.attempt, j.failures, j.max_attempts, j.crashes, j.timeout_ms, j.limit_key, j.xmax::text <> '0' AS touched, l.id IS NOT NULL AS leased,
    w.name AS worker, w.heartbeat_at, w.dead_at, w.lease_ms, c.requested_at AS cancel_at, c.reason AS cancel_why, p.percent
FROM haulage.live_jobs AS j
LEFT JOIN haulage.leases AS l ON l.id = j.lease
LEFT JOIN haulage.workers AS w ON w.id = l.worker
LEFT JOIN haulage.cancel_requests AS c ON c.job_id = j.id
LEFT JOIN haulage.progress AS p ON p.job_id = j.id AND p.lease = j.lease
WHERE j.id = $1::bigint
