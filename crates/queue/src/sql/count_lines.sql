-- What waits in a queue by priority: how many jobs, counted to 10,001, and since when the first of them. $1 queue.
-- Index: live_jobs_line, live_jobs_returned.
SELECT
    p.priority::smallint AS priority,
    (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 1 AND j.state = 1 LIMIT 10001) AS counted
    ) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 2 AND j.state = 1 LIMIT 10001) AS counted
    ) AS jobs,
    (
        SELECT j.eligible_at
        FROM haulage.live_jobs AS j
        WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 1 AND j.state = 1
        ORDER BY j.pos
        LIMIT 1
    ) AS oldest
FROM generate_series(0, 3) AS p (priority)
ORDER BY p.priority
