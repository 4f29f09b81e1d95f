-- What metrics and charts say about queues: those with a row, a live worker or an unfinished job in line, given back or parked, the first hundred by name.
-- Every count stops at $1, what runs at 20,000 in all, so that a sample costs the same beside a thousand jobs and ten million. What could
-- run is counted as index entries less what runs: a count that reads rows takes ten times as long where the table is vacuumed.
-- Index: live_jobs_line, live_jobs_returned and live_jobs_parked from one queue to the next; the primary key for what runs.
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
    SELECT name
    FROM (
        SELECT name FROM haulage.queues
        UNION (SELECT queue FROM in_line WHERE queue IS NOT NULL LIMIT 100)
        UNION (SELECT queue FROM returned WHERE queue IS NOT NULL LIMIT 100)
        UNION (SELECT queue FROM parked WHERE queue IS NOT NULL LIMIT 100)
        UNION SELECT unnest(w.queues) FROM haulage.workers AS w WHERE w.dead_at IS NULL
    ) AS all_names
    ORDER BY name
    LIMIT 100
),
running AS MATERIALIZED (
    SELECT r.queue, count(*) AS jobs, count(*) FILTER (WHERE r.place = 1) AS in_line, count(*) FILTER (WHERE r.place = 2) AS returned
    FROM (
        SELECT j.queue, j.place
        FROM haulage.leases AS l, unnest(l.ids) AS i (id),
        LATERAL (SELECT k.queue, k.place FROM haulage.live_jobs AS k WHERE k.id = i.id AND k.lease = l.id OFFSET 0) AS j
        LIMIT 20000
    ) AS r
    GROUP BY r.queue
)
SELECT
    n.name,
    greatest(0, (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 1 LIMIT $1::bigint + coalesce(r.in_line, 0)) AS counted
    ) - coalesce(r.in_line, 0) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 2 LIMIT $1::bigint + coalesce(r.returned, 0)) AS counted
    ) - coalesce(r.returned, 0)) AS available,
    (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = n.name AND j.place = 3 LIMIT $1::bigint) AS counted
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
                SELECT greatest(j.eligible_at, j.created_at) AS eligible_at -- not since a time before its enqueue
                FROM haulage.live_jobs AS j
                WHERE j.queue = n.name AND j.priority = p.priority AND j.place = 2 AND j.state = 1
                ORDER BY j.pos
                LIMIT 1
            )
        ) AS first
    ))::double precision AS oldest_s
FROM names AS n
LEFT JOIN running AS r ON r.queue = n.name
ORDER BY n.name
