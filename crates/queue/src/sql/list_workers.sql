-- Every worker that is known, the living first, by name. Index: none; there are as many rows as processes.
SELECT
    id, name, version, queues, slots, kinds, revisions, running, started_at, dead_at,
    extract(epoch FROM now() - heartbeat_at)::double precision AS heartbeat_age_s,
    heartbeat_at < now() - make_interval(secs => lease_ms / 1000.0) AS overdue
FROM haulage.workers
ORDER BY dead_at IS NOT NULL, name, id
LIMIT 1000
