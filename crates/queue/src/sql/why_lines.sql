-- What stands at the beginning of each queue's lines, by kind and revision, and whether somebody has locked some of it; what is held,
-- and what is suspect. Reads the first $1 entries of each line, so it costs the same however many jobs wait.
-- Index: live_jobs_line, live_jobs_returned, live_jobs_parked, also from one queue to the next.
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
busy AS MATERIALIZED (
    SELECT array_agg(l.transactionid) AS xids
    FROM pg_locks AS l
    LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND coalesce(a.application_name, '') NOT LIKE 'haulage %'
),
looked AS (
    SELECT
        q.queue, line.priority, 1::smallint AS place, NULL::smallint AS parked_for, f.id, f.pos, f.kind, f.kind_revision, f.eligible_at,
        f.created_at, f.locked
    FROM in_line AS q,
    unnest('{0,1,2,3}'::smallint[]) AS line (priority),
    LATERAL (
        SELECT
            j.id, j.pos, j.state, j.kind, j.kind_revision, j.eligible_at, j.created_at,
            (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
        FROM haulage.live_jobs AS j
        WHERE j.queue = q.queue AND j.priority = line.priority AND j.place = 1
        ORDER BY j.pos
        LIMIT $1::int
    ) AS f
    WHERE f.state = 1
    UNION ALL
    SELECT q.queue, f.priority, 2::smallint, NULL::smallint, f.id, f.pos, f.kind, f.kind_revision, f.eligible_at, f.created_at, f.locked
    FROM returned AS q,
    LATERAL (
        SELECT
            j.id, j.pos, j.priority, j.state, j.kind, j.kind_revision, j.eligible_at, j.created_at,
            (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
        FROM haulage.live_jobs AS j
        WHERE j.queue = q.queue AND j.place = 2
        ORDER BY j.priority, j.pos
        LIMIT $1::int
    ) AS f
    WHERE f.state = 1
    UNION ALL
    -- What waits for a key is told by the keys.
    SELECT q.queue, f.priority, 3::smallint, f.parked_for, f.id, f.pos, f.kind, f.kind_revision, f.eligible_at, f.created_at, f.locked
    FROM parked AS q,
    LATERAL (
        SELECT
            j.id, j.pos, j.priority, j.parked_for, j.kind, j.kind_revision, j.eligible_at, j.created_at,
            (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
        FROM haulage.live_jobs AS j
        WHERE j.queue = q.queue AND j.place = 3
        -- Those without a key come last in this order, and those that are held have none, as a rule.
        ORDER BY j.limit_key DESC, j.pos DESC
        LIMIT $1::int
    ) AS f
    WHERE f.parked_for <> 2
)
SELECT
    l.queue, l.priority, l.place, l.parked_for, l.kind, l.kind_revision, l.locked, count(*) AS jobs,
    min(l.eligible_at) AS eligible_at, (array_agg(l.created_at ORDER BY l.eligible_at))[1] AS created_at,
    (array_agg(l.id ORDER BY l.eligible_at, l.id))[1] AS id, (array_agg(l.pos ORDER BY l.eligible_at, l.id))[1] AS pos,
    max(l.eligible_at) AS newest
FROM looked AS l
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3
LIMIT 5000
