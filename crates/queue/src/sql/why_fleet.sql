-- The workers, those alike together: a large fleet has few kinds of worker. The living first, then who was heard of last.
-- Index: none; there are as many rows as processes.
SELECT
    w.queues, w.slots, w.kinds, w.revisions, w.dead_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => w.lease_ms / 1000.0) AS alive,
    q.worker IS NOT NULL AND q.resumed_at IS NULL AS quiet,
    count(*) AS workers, min(greatest(w.started_at, q.resumed_at)) AS started_at, max(w.heartbeat_at) AS last_beat,
    (array_agg(w.name ORDER BY w.heartbeat_at DESC))[1] AS name,
    (array_agg(w.id ORDER BY w.heartbeat_at DESC))[1] AS id, (array_agg(q.at ORDER BY w.heartbeat_at DESC))[1] AS quiet_at,
    (array_agg(q.by ORDER BY w.heartbeat_at DESC))[1] AS quiet_by, (array_agg(q.why ORDER BY w.heartbeat_at DESC))[1] AS quiet_why,
    (array_agg(w.version ORDER BY w.heartbeat_at DESC))[1] AS version
FROM haulage.workers AS w
LEFT JOIN haulage.quiet_workers AS q ON q.worker = w.id
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY alive DESC, last_beat DESC
LIMIT 500
