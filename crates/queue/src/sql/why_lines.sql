-- What stands at the beginning of each queue's lines, by kind and revision, and whether somebody has locked some of it; what is held,
-- and what is suspect. Reads the first $1 entries of each line, and a fifth as many of what is parked, so it costs the same however many wait.
-- Grouped by COLLATE "C": the groups are sorted, and a language's order costs twice as much.
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
    SELECT q.queue, line.priority, 1::smallint AS place, NULL::smallint AS parked_for, g.kind, g.kind_revision, g.locked, g.jobs,
        g.eligible_at, g.created_at, g.id, g.pos, g.newest
    FROM in_line AS q,
    unnest('{0,1,2,3}'::smallint[]) AS line (priority),
    LATERAL (
        SELECT
            f.kind COLLATE "C" AS kind, f.kind_revision, f.locked, count(*) AS jobs, min(f.eligible_at) AS eligible_at,
            min(f.created_at) AS created_at, min(f.id) AS id, min(f.pos) AS pos, max(f.eligible_at) AS newest
        FROM (
            SELECT
                j.id, j.pos, j.state, j.kind, j.kind_revision, j.eligible_at, j.created_at,
                (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.priority = line.priority AND j.place = 1
            ORDER BY j.pos
            LIMIT $1::int
        ) AS f
        WHERE f.state = 1
        GROUP BY f.kind COLLATE "C", f.kind_revision, f.locked
    ) AS g
    UNION ALL
    SELECT q.queue, g.priority, 2::smallint, NULL::smallint, g.kind, g.kind_revision, g.locked, g.jobs, g.eligible_at, g.created_at, g.id, g.pos, g.newest
    FROM returned AS q,
    LATERAL (
        SELECT
            f.priority, f.kind COLLATE "C" AS kind, f.kind_revision, f.locked, count(*) AS jobs, min(f.eligible_at) AS eligible_at,
            min(f.created_at) AS created_at, min(f.id) AS id, min(f.pos) AS pos, max(f.eligible_at) AS newest
        FROM (
            SELECT
                j.id, j.pos, j.priority, j.state, j.kind, j.kind_revision, j.eligible_at, j.created_at,
                (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.place = 2
            ORDER BY j.priority, j.pos
            LIMIT $1::int
        ) AS f
        WHERE f.state = 1
        GROUP BY f.priority, f.kind COLLATE "C", f.kind_revision, f.locked
    ) AS g
    UNION ALL
    -- What waits for a key is told by the keys.
    SELECT
        q.queue, g.priority, 3::smallint, g.parked_for, g.kind, g.kind_revision, g.locked, g.jobs, g.eligible_at, g.created_at, g.id, g.pos,
        g.newest
    FROM parked AS q,
    LATERAL (
        SELECT
            f.priority, f.parked_for, f.kind COLLATE "C" AS kind, f.kind_revision, f.locked, count(*) AS jobs, min(f.eligible_at) AS eligible_at,
            min(f.created_at) AS created_at, min(f.id) AS id, min(f.pos) AS pos, max(f.eligible_at) AS newest
        FROM (
            SELECT
                j.id, j.pos, j.priority, j.parked_for, j.kind, j.kind_revision, j.eligible_at, j.created_at,
                (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS TRUE AS locked
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.place = 3
            -- Those without a key come first in this order, and those that are held have none, as a rule.
            ORDER BY j.limit_key DESC, j.pos DESC
            LIMIT $1::int / 5
        ) AS f
        WHERE f.parked_for <> 2
        GROUP BY f.priority, f.parked_for, f.kind COLLATE "C", f.kind_revision, f.locked
    ) AS g
)
SELECT
    l.queue, l.priority, l.place, l.parked_for, l.kind, l.kind_revision, l.locked, l.jobs, l.eligible_at, l.created_at, l.id, l.pos, l.newest
FROM looked AS l
ORDER BY l.queue, l.priority, l.place
LIMIT 5000
