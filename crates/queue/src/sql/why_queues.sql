-- What is said about queues, and what they have let in: those of a list, or all that have a row. As haulage.admit_queue counts it.
-- $1 names, NULL all
-- Index: live_jobs_returned, live_jobs_suspect; leases for what was claimed before the limit.
SELECT
    q.name, q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused, q.paused_at, q.paused_until, q.paused_by,
    q.paused_why, q.updated_at, q.max_running, q.rate_count, q.rate_ms, q.rate_burst, r.starts, r.next_ms,
    coalesce(h.held, 0) + coalesce(h.old, 0) + coalesce(h.suspects, 0) AS held, coalesce(h.idle, 0) AS idle, b.jobs AS idle_jobs,
    b.ids AS idle_ids, b.kinds AS idle_kinds, b.revisions AS idle_revisions
FROM haulage.queues AS q
LEFT JOIN LATERAL haulage.rate_left(q.full_at, q.rate_count, q.rate_ms, q.rate_burst, clock_timestamp()) AS r ON q.rate_count IS NOT NULL
LEFT JOIN LATERAL (
    SELECT
        count(*) AS held, count(*) FILTER (WHERE c.state = 1) AS idle,
        CASE WHEN q.in_line AND q.max_running IS NOT NULL THEN (
            SELECT count(*)
            FROM haulage.leases AS l, unnest(l.ids) AS i (id),
            LATERAL (
                SELECT FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id AND j.queue = q.name AND j.place = 1
            ) AS running
        ) END AS old,
        (SELECT count(*) FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.parked_for = 3) AS suspects
    FROM (SELECT j.state FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.place = 2 LIMIT 20000) AS c
) AS h ON q.max_running IS NOT NULL OR q.rate_count IS NOT NULL
LEFT JOIN LATERAL (
    SELECT array_agg(g.jobs) AS jobs, array_agg(g.id) AS ids, array_agg(g.kind) AS kinds, array_agg(g.kind_revision) AS revisions
    FROM (
        SELECT count(*) AS jobs, min(i.id) AS id, i.kind, i.kind_revision
        FROM (
            SELECT j.id, j.kind, j.kind_revision
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.name AND j.place = 2 AND j.state = 1
            LIMIT 1000
        ) AS i
        GROUP BY i.kind, i.kind_revision
    ) AS g
) AS b ON h.idle > 0
WHERE $1::text[] IS NULL OR q.name = ANY ($1::text[])
ORDER BY q.name
LIMIT 1000
