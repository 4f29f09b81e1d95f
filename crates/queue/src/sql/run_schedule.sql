-- Enqueues the job of a schedule now, beside its times and whatever its policies say; returns the job. $1 name
-- Locks: the schedule, the new row.
WITH job AS (
    INSERT INTO haulage.live_jobs (
        kind, queue, args, priority, max_attempts, timeout_ms, tags, meta, limit_key, state, place, parked_for,
        kind_revision
    )
    SELECT
        kind, queue, args, priority, max_attempts, timeout_ms, tags, coalesce(meta, '{}') || jsonb_build_object('schedule', name),
        limit_key, CASE WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END, CASE WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN limit_key IS NOT NULL THEN 2 END, kind_revision
    FROM haulage.schedules
    WHERE name = $1::text
    RETURNING id, queue, state
),
noted AS (
    UPDATE haulage.schedules SET last_job = (SELECT id FROM job) WHERE name = $1::text
),
woken AS MATERIALIZED (
    SELECT CASE state WHEN 1 THEN haulage.wake(queue)::text ELSE haulage.wake_promoter(now())::text END FROM job
)
SELECT job.id FROM job LEFT JOIN woken ON true
