-- The name of every queue that has a row, a live worker or an unfinished job, with how long its oldest job in line has waited, in seconds. Counts
-- nothing, so it is cheap beside any backlog. $1 at most so many, by name
-- Index: live_jobs_line, live_jobs_returned and live_jobs_parked, from one queue to the next.
WITH RECURSIVE in_line AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 1 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 1 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM in_line AS l
    WHERE l.queue IS NOT NULL
),
returned AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 2 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 2 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM returned AS l
    WHERE l.queue IS NOT NULL
),
parked AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 3 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 3 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM parked AS l
    WHERE l.queue IS NOT NULL
),
names AS (
    SELECT name FROM haulage.queues
    UNION SELECT queue FROM in_line WHERE queue IS NOT NULL
    UNION SELECT queue FROM returned WHERE queue IS NOT NULL
    UNION SELECT queue FROM parked WHERE queue IS NOT NULL
    UNION SELECT unnest(w.queues) FROM haulage.workers AS w WHERE w.dead_at IS NULL
)
SELECT
    n.name,
    extract(epoch FROM now() - (
        SELECT min(first.eligible_at)
        FROM generate_series(0, 3) AS p (priority),
        LATERAL (
            (
                SELECT greatest(j.eligible_at, j.created_at) AS eligible_at -- not since a time before its enqueue
                FROM haulage.live_jobs AS j
                WHERE j.queue = n.name AND j.priority = p.priority AND j.place = 1 AND j.state = 1
                ORDER BY j.pos
                LIMIT 1
            )
            UNION ALL
            (
                SELECT greatest(j.eligible_at, j.created_at) AS eligible_at
                FROM haulage.live_jobs AS j
                WHERE j.queue = n.name AND j.priority = p.priority AND j.place = 2 AND j.state = 1
                ORDER BY j.pos
                LIMIT 1
            )
        ) AS first
    ))::double precision AS oldest_s
FROM (SELECT name FROM names ORDER BY name LIMIT $1::bigint) AS n
ORDER BY n.name
