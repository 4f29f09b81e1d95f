-- Every worker that is known, the living first, by name. Index: none; there are as many rows as processes.
SELECT
    w.id, w.name, w.version, w.queues, w.slots, w.kinds, w.revisions, w.running, w.started_at, w.dead_at,
    extract(epoch FROM now() - w.heartbeat_at)::double precision AS heartbeat_age_s,
    w.heartbeat_at < now() - make_interval(secs => w.lease_ms / 1000.0) AS overdue,
    q.at AS quiet_at, q.by AS quiet_by, q.why AS quiet_why
FROM haulage.workers AS w
LEFT JOIN haulage.quiet_workers AS q ON q.worker = w.id AND q.resumed_at IS NULL
ORDER BY w.dead_at IS NOT NULL, w.name, w.id
LIMIT 1000
