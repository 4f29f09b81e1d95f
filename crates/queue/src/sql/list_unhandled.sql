-- Waiting jobs that no live worker takes, counted by queue, kind and revision, with what is missing: a worker that serves the queue,
-- one of these that knows the kind, or one of these that knows it up to the revision. At most 1,000 rows.
-- Looks at the first entries of each line only, where what nobody takes gathers, so it costs the same however many jobs wait; a count
-- is the least there is if a line of the queue was not looked at to its end.
-- $1 entries of a line  $2 a worker: nothing is looked at if another live one has a lower id, or if its own heartbeat looks older than
-- half of its lease: the clock was set, and workers may look dead who are not. NULL: always
-- Index: live_jobs_line, live_jobs_returned, live_jobs_parked, also from one queue to the next.
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT $2::bigint IS NULL OR NOT EXISTS (
        SELECT FROM haulage.workers AS w WHERE w.id < $2::bigint AND w.dead_at IS NULL AND w.revisions IS NOT NULL
    ) AND EXISTS (
        SELECT
        FROM haulage.workers AS me
        WHERE me.id = $2::bigint AND me.dead_at IS NULL AND me.heartbeat_at > now() - make_interval(secs => me.lease_ms / 2000.0)
    ) AS mine
),
in_line AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 1 AND (SELECT mine FROM asked) ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 1 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM in_line AS l
    WHERE l.queue IS NOT NULL
),
returned AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 2 AND (SELECT mine FROM asked) ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 2 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM returned AS l
    WHERE l.queue IS NOT NULL
),
parked AS (
    (SELECT queue FROM haulage.live_jobs WHERE place = 3 AND (SELECT mine FROM asked) ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM haulage.live_jobs AS j WHERE j.place = 3 AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
    FROM parked AS l
    WHERE l.queue IS NOT NULL
),
looked AS (
    SELECT q.queue, s.kind, s.kind_revision, s.jobs, s.since, s.cut
    FROM in_line AS q,
    unnest('{0,1,2,3}'::smallint[]) AS line (priority),
    LATERAL (
        SELECT
            f.kind, f.kind_revision, count(*) FILTER (WHERE f.state = 1) AS jobs, min(f.eligible_at) FILTER (WHERE f.state = 1) AS since,
            sum(count(*)) OVER () >= $1::int AS cut
        FROM (
            SELECT j.kind, j.kind_revision, j.state, j.eligible_at
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.priority = line.priority AND j.place = 1
            ORDER BY j.pos
            LIMIT $1::int
        ) AS f
        GROUP BY f.kind, f.kind_revision
    ) AS s
    UNION ALL
    SELECT q.queue, s.kind, s.kind_revision, s.jobs, s.since, s.cut
    FROM returned AS q,
    LATERAL (
        SELECT
            f.kind, f.kind_revision, count(*) FILTER (WHERE f.state = 1) AS jobs, min(f.eligible_at) FILTER (WHERE f.state = 1) AS since,
            sum(count(*)) OVER () >= $1::int AS cut
        FROM (
            SELECT j.kind, j.kind_revision, j.state, j.eligible_at
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.place = 2
            ORDER BY j.priority, j.pos
            LIMIT $1::int
        ) AS f
        GROUP BY f.kind, f.kind_revision
    ) AS s
    UNION ALL
    -- What an operator holds waits for nobody else.
    SELECT q.queue, s.kind, s.kind_revision, s.jobs, s.since, s.cut
    FROM parked AS q,
    LATERAL (
        SELECT
            f.kind, f.kind_revision, count(*) FILTER (WHERE f.parked_for <> 1) AS jobs,
            min(f.eligible_at) FILTER (WHERE f.parked_for <> 1) AS since, sum(count(*)) OVER () >= $1::int AS cut
        FROM (
            SELECT j.kind, j.kind_revision, j.parked_for, j.eligible_at
            FROM haulage.live_jobs AS j
            WHERE j.queue = q.queue AND j.place = 3
            ORDER BY j.limit_key, j.pos
            LIMIT $1::int
        ) AS f
        GROUP BY f.kind, f.kind_revision
    ) AS s
),
counted AS (
    SELECT
        queue, kind, kind_revision, sum(jobs)::bigint AS jobs, min(since) AS since,
        bool_or(bool_or(cut)) OVER (PARTITION BY queue) AS at_least
    FROM looked
    GROUP BY queue, kind, kind_revision
),
live AS MATERIALIZED (
    SELECT w.queues, w.kinds, w.revisions
    FROM haulage.workers AS w
    WHERE w.dead_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => w.lease_ms / 1000.0)
)
SELECT
    c.queue, c.kind, c.kind_revision AS revision, c.jobs, c.at_least, known.revision AS known_revision,
    extract(epoch FROM now() - c.since)::double precision AS oldest_s,
    EXISTS (SELECT FROM live AS w WHERE c.queue = ANY (w.queues)) AS served
FROM counted AS c,
LATERAL (
    -- A version of Haulage that knows of no revisions takes all.
    SELECT max(CASE WHEN w.revisions IS NULL THEN 32767 ELSE w.revisions[array_position(w.kinds, c.kind)] END)::smallint AS revision
    FROM live AS w
    WHERE c.queue = ANY (w.queues) AND c.kind = ANY (w.kinds)
) AS known
WHERE c.jobs > 0 AND coalesce(known.revision, -1) < c.kind_revision
ORDER BY c.queue, c.kind, c.kind_revision
LIMIT 1000
