-- Enqueues a job for each instant and moves the schedules on; returns a row a job: schedule, instant, id. The schedules were locked by
-- lock_due_schedules in this transaction. An instant that the table of fires has already makes no job, whatever the schedule says.
-- $1 schedules, $2 instants: parallel, in the order of instants within each schedule
-- $3 schedules, $4 their next_at when they were locked, $5 their next instant, NULL none: parallel, one each
-- Locks: the schedules, the new rows. Index: the primary keys of schedules, fires and live_jobs.
WITH asked AS (
    SELECT
        s.name, a.instant, s.overlap,
        row_number() OVER (PARTITION BY s.name ORDER BY a.instant) AS n,
        -- Of the job before: NULL when it has finished or was deleted.
        (SELECT j.state FROM haulage.live_jobs AS j WHERE j.id = s.last_job) AS before
    FROM unnest($1::text[], $2::timestamptz[]) AS a (name, instant),
    LATERAL (SELECT name, overlap, last_job FROM haulage.schedules WHERE name = a.name OFFSET 0) AS s
),
fired AS (
    INSERT INTO haulage.fires (schedule, instant, job_id)
    SELECT
        name, instant,
        CASE
            WHEN overlap = 1 AND (before IS NOT NULL OR n > 1) THEN NULL
            WHEN overlap = 2 AND (before <> 2 OR n > 1) THEN NULL
            ELSE nextval('haulage.live_jobs_id_seq')
        END
    FROM asked
    ON CONFLICT (schedule, instant) DO NOTHING
    RETURNING schedule, instant, job_id
),
jobs AS (
    INSERT INTO haulage.live_jobs (
        id, kind, queue, args, priority, max_attempts, timeout_ms, tags, meta, run_at, eligible_at, limit_key, state, place, parked_for
    )
    SELECT
        f.job_id, s.kind, s.queue, s.args, s.priority, s.max_attempts, s.timeout_ms, s.tags,
        coalesce(s.meta, '{}') || jsonb_build_object('schedule', s.name, 'instant', f.instant),
        t.at, t.at, k.key,
        CASE WHEN t.at > now() THEN 0 WHEN k.key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at > now() THEN 0 WHEN k.key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at <= now() AND k.key IS NOT NULL THEN 2 END
    FROM fired AS f,
    LATERAL (
        SELECT name, kind, queue, args, priority, max_attempts, timeout_ms, tags, meta, jitter_ms, overlap, limit_key
        FROM haulage.schedules
        WHERE name = f.schedule
        OFFSET 0
    ) AS s,
    LATERAL (
        -- The same in every process: 10 bits of the hash of schedule and instant as a part of the jitter.
        SELECT f.instant + make_interval(secs => s.jitter_ms / 1000.0 * (hashtext(s.name || extract(epoch FROM f.instant)::text) & 1023) / 1024) AS at
    ) AS t,
    -- Of "queue one" the second starts when the first has ended.
    LATERAL (SELECT coalesce(s.limit_key, CASE s.overlap WHEN 2 THEN 'haulage-schedule:' || s.name END) AS key) AS k
    WHERE f.job_id IS NOT NULL
    RETURNING id, queue, run_at, state
),
moved AS (
    UPDATE haulage.schedules AS s
    SET next_at = coalesce(($5::timestamptz[])[array_position($3::text[], s.name)], 'infinity'),
        last_at = coalesce((SELECT max(f.instant) FROM fired AS f WHERE f.schedule = s.name AND f.job_id IS NOT NULL), s.last_at),
        last_job = coalesce((SELECT max(f.job_id) FROM fired AS f WHERE f.schedule = s.name), s.last_job),
        paused_at = NULL, paused_until = NULL, paused_by = NULL, paused_why = NULL
    WHERE s.name = ANY ($3::text[]) AND s.next_at = ($4::timestamptz[])[array_position($3::text[], s.name)]
),
woken AS MATERIALIZED (
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM jobs WHERE state = 1) AS q
),
due AS MATERIALIZED (
    SELECT haulage.wake_promoter(min(run_at)) FROM jobs WHERE state <> 1
)
SELECT f.schedule, f.instant, f.job_id
FROM woken
LEFT JOIN due ON true
LEFT JOIN fired AS f ON f.job_id IS NOT NULL
