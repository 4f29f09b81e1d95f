-- What waits in a queue by priority: how many jobs, counted to 10,001, and since when the first of them. $1 queue.
-- Counted as index entries less what runs: a count that reads rows takes ten times as long where the table is vacuumed.
-- Index: live_jobs_line, live_jobs_returned; leases for what runs.
WITH running AS MATERIALIZED (
    SELECT j.priority, count(*) FILTER (WHERE j.place = 1) AS in_line, count(*) FILTER (WHERE j.place = 2) AS returned
    FROM haulage.leases AS l, unnest(l.ids) AS i (id),
    LATERAL (
        SELECT j.priority, j.place FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id AND j.queue = $1::text OFFSET 0
    ) AS j
    GROUP BY j.priority
)
SELECT
    p.priority::smallint AS priority,
    greatest(0, (
        SELECT count(*)
        FROM (
            SELECT FROM haulage.live_jobs AS j WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 1
            LIMIT 10001 + coalesce(r.in_line, 0)
        ) AS counted
    ) - coalesce(r.in_line, 0) + (
        SELECT count(*)
        FROM (
            SELECT FROM haulage.live_jobs AS j WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 2
            LIMIT 10001 + coalesce(r.returned, 0)
        ) AS counted
    ) - coalesce(r.returned, 0)) AS jobs,
    (
        SELECT j.eligible_at
        FROM haulage.live_jobs AS j
        WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 1 AND j.state = 1
        ORDER BY j.pos
        LIMIT 1
    ) AS oldest
FROM generate_series(0, 3) AS p (priority)
LEFT JOIN running AS r ON r.priority = p.priority
ORDER BY p.priority
