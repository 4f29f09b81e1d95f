-- Every queue that has a row, a live worker or an unfinished job, by name, with what is said about it. Counts stop at 10,001. What could
-- run is counted as index entries less what runs: a count that reads rows takes ten times as long where the table is vacuumed.
-- $1 only the queues of these names, NULL for all  $2 at most so many, NULL for all
-- Index: live_jobs_line, live_jobs_returned and live_jobs_parked from one queue to the next; leases for what runs.
WITH RECURSIVE in_line AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 1 AND $1::text[] IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 1 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM in_line AS l
    WHERE l.queue IS NOT NULL
),
returned AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 2 AND $1::text[] IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 2 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM returned AS l
    WHERE l.queue IS NOT NULL
),
parked AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 3 AND $1::text[] IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 3 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM parked AS l
    WHERE l.queue IS NOT NULL
),
served AS (
    SELECT u.queue, count(*) AS workers, sum(u.slots) FILTER (WHERE q.worker IS NULL) AS slots
    FROM haulage.workers AS w
    LEFT JOIN haulage.quiet_workers AS q ON q.worker = w.id AND q.resumed_at IS NULL,
    unnest(w.queues, w.slots) AS u (queue, slots)
    WHERE w.dead_at IS NULL AND ($1::text[] IS NULL OR u.queue = ANY ($1::text[]))
    GROUP BY u.queue
),
running AS MATERIALIZED ( -- once, and not once a queue
    SELECT j.queue, count(*) AS jobs, count(*) FILTER (WHERE j.place = 1) AS in_line, count(*) FILTER (WHERE j.place = 2) AS returned
    FROM haulage.leases AS l, unnest(l.ids) AS i (id),
    LATERAL (SELECT j.queue, j.place FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id OFFSET 0) AS j
    GROUP BY j.queue
),
names AS (
    SELECT name FROM haulage.queues WHERE $1::text[] IS NULL OR name = ANY ($1::text[])
    UNION
    SELECT u.queue
    FROM unnest($1::text[]) AS u (queue)
    WHERE EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.queue = u.queue AND j.place = 1)
        OR EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.queue = u.queue AND j.place = 2)
        OR EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.queue = u.queue AND j.place = 3)
    UNION SELECT queue FROM in_line WHERE queue IS NOT NULL
    UNION SELECT queue FROM returned WHERE queue IS NOT NULL
    UNION SELECT queue FROM parked WHERE queue IS NOT NULL
    UNION SELECT queue FROM served
)
SELECT
    n.name, q.paused_at, q.paused_until, q.paused_by, q.paused_why, q.max_running, q.rate_count, q.rate_ms, q.rate_burst,
    coalesce(s.workers, 0) AS workers, coalesce(s.slots, 0) AS slots,
    greatest(0, (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 1 LIMIT 10001 + coalesce(r.in_line, 0)) AS counted
    ) - coalesce(r.in_line, 0) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 2 LIMIT 10001 + coalesce(r.returned, 0)) AS counted
    ) - coalesce(r.returned, 0)) AS available,
    (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 3 LIMIT 10001) AS counted
    ) AS parked,
    coalesce(r.jobs, 0) AS running,
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
FROM (SELECT name FROM names ORDER BY name LIMIT $2::bigint) AS n
LEFT JOIN haulage.queues AS q ON q.name = n.name
LEFT JOIN served AS s ON s.queue = n.name
LEFT JOIN running AS r ON r.queue = n.name
ORDER BY n.name
