-- Every queue that has a row, a live worker or an unfinished job, by name, with what is said about it. Counts stop at 10,001.
-- Index: live_jobs_line and live_jobs_returned from one queue to the next; leases for what runs.
WITH RECURSIVE in_line AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 1 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 1 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM in_line AS l
    WHERE l.queue IS NOT NULL
),
parked AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 3 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 3 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM parked AS l
    WHERE l.queue IS NOT NULL
),
served AS (
    SELECT u.queue, count(*) AS workers, sum(u.slots) AS slots
    FROM haulage.workers AS w, unnest(w.queues, w.slots) AS u (queue, slots)
    WHERE w.dead_at IS NULL
    GROUP BY u.queue
),
names AS (
    SELECT name FROM haulage.queues
    UNION SELECT queue FROM in_line WHERE queue IS NOT NULL
    UNION SELECT queue FROM parked WHERE queue IS NOT NULL
    UNION SELECT queue FROM served
)
SELECT
    n.name, q.paused_at, q.paused_until, q.paused_by, q.paused_why, q.max_running, q.rate_count, q.rate_ms, q.rate_burst,
    coalesce(s.workers, 0) AS workers, coalesce(s.slots, 0) AS slots,
    (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 1 AND j.state = 1 LIMIT 10001) AS counted
    ) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 2 AND j.state = 1 LIMIT 10001) AS counted
    ) AS available,
    (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 3 LIMIT 10001) AS counted
    ) AS parked,
    (
        SELECT count(*)
        FROM haulage.leases AS l, unnest(l.ids) AS i (id),
        LATERAL (SELECT FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id AND j.queue = n.name) AS running
    ) AS running,
    extract(epoch FROM now() - (
        SELECT min(first.eligible_at)
        FROM generate_series(0, 3) AS p (priority),
        LATERAL (
            SELECT greatest(j.eligible_at, j.created_at) AS eligible_at -- not since a time before its enqueue
            FROM haulage.live_jobs AS j
            WHERE j.queue = n.name AND j.priority = p.priority AND j.place = 1 AND j.state = 1
            ORDER BY j.pos
            LIMIT 1
        ) AS first
    ))::double precision AS oldest_s
FROM names AS n
LEFT JOIN haulage.queues AS q ON q.name = n.name
LEFT JOIN served AS s ON s.queue = n.name
ORDER BY n.name
