-- Enqueues a job for each instant and moves the schedules on; returns a row a job: schedule, instant, id; one of NULLs if there is none.
-- The schedules were locked by lock_due_schedules in this transaction, so nobody else writes their fires; an instant that the table of
-- fires has already makes no job, whatever the schedule says.
-- Arrays, parallel, in the order of instants within each schedule; one without instants has one entry: $1 places of the schedules
-- $2 instants, NULL none  $3 whether it is the schedule's first in this call  $4 the schedule's next instant, NULL none is left
-- Locks: the schedules, the new rows. Index: the schedules' places in the table, the primary keys of fires and live_jobs.
WITH asked AS MATERIALIZED (
    SELECT
        a.place, a.instant, a.next_at, s.name, s.kind, s.queue, s.args, s.priority, s.max_attempts, s.timeout_ms, s.tags, s.meta,
        s.jitter_ms, s.overlap, s.limit_key, s.kind_revision, s.fresh,
        CASE
            WHEN NOT s.fresh THEN NULL
            WHEN s.overlap = 1 AND (s.before IS NOT NULL OR NOT a.first) THEN NULL
            WHEN s.overlap = 2 AND (s.before <> 2 OR NOT a.first) THEN NULL
            ELSE nextval('haulage.live_jobs_id_seq')
        END AS job_id
    FROM unnest($1::text[]::tid[], $2::timestamptz[], $3::boolean[], $4::timestamptz[]) AS a (place, instant, first, next_at),
    LATERAL (
        SELECT
            name, kind, queue, args, priority, max_attempts, timeout_ms, tags, meta, jitter_ms, overlap, limit_key,
            kind_revision,
            -- A subquery of one value is never hashed, as EXISTS may be: that would read all fires.
            a.instant IS NOT NULL AND (SELECT true FROM haulage.fires AS f WHERE f.schedule = name AND f.instant = a.instant) IS NULL AS fresh,
            -- Of the job before: NULL when it has finished or was deleted.
            CASE WHEN overlap <> 0 THEN (SELECT j.state FROM haulage.live_jobs AS j WHERE j.id = last_job) END AS before
        FROM haulage.schedules
        WHERE ctid = a.place
        OFFSET 0
    ) AS s
),
fired AS (
    INSERT INTO haulage.fires (schedule, instant, job_id)
    SELECT name, instant, job_id FROM asked WHERE fresh
),
jobs AS (
    INSERT INTO haulage.live_jobs (
        id, kind, queue, args, priority, max_attempts, timeout_ms, tags, meta, run_at, eligible_at, limit_key, state, place, parked_for, kind_revision
    )
    SELECT
        a.job_id, a.kind, a.queue, a.args, a.priority, a.max_attempts, a.timeout_ms, a.tags,
        coalesce(a.meta, '{}') || jsonb_build_object('schedule', a.name, 'instant', a.instant),
        t.at, t.at, k.key,
        CASE WHEN t.at > now() THEN 0 WHEN k.key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at > now() THEN 0 WHEN k.key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at <= now() AND k.key IS NOT NULL THEN 2 END, a.kind_revision
    FROM asked AS a,
    LATERAL (
        -- The same in every process: 10 bits of the hash of schedule and instant as a part of the jitter.
        SELECT CASE
            WHEN a.jitter_ms = 0 THEN a.instant
            ELSE a.instant + make_interval(secs => a.jitter_ms / 1000.0 * (hashtext(a.name || extract(epoch FROM a.instant)::text) & 1023) / 1024)
        END AS at
        OFFSET 0
    ) AS t,
    -- Of "queue one" the second starts when the first has ended.
    LATERAL (SELECT coalesce(a.limit_key, CASE a.overlap WHEN 2 THEN 'haulage-schedule:' || a.name END) AS key) AS k
    WHERE a.job_id IS NOT NULL
    RETURNING queue, run_at, state
),
moved AS (
    UPDATE haulage.schedules AS s
    SET next_at = coalesce(m.next_at, 'infinity'), last_at = coalesce(m.last_at, s.last_at), last_job = coalesce(m.last_job, s.last_job),
        paused_at = NULL, paused_until = NULL, paused_by = NULL, paused_why = NULL
    FROM (
        SELECT place, next_at, max(instant) FILTER (WHERE job_id IS NOT NULL) AS last_at, max(job_id) AS last_job
        FROM asked
        GROUP BY place, next_at
    ) AS m
    WHERE s.ctid = m.place
),
woken AS MATERIALIZED (
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM jobs WHERE state = 1) AS q
),
due AS MATERIALIZED (
    SELECT haulage.wake_promoter(min(run_at)) FROM jobs WHERE state <> 1
)
SELECT a.name, a.instant, a.job_id
FROM woken
LEFT JOIN due ON true
LEFT JOIN asked AS a ON a.job_id IS NOT NULL
