-- Removes rows that say nothing any more: progress, spans and cancel requests of jobs that are gone, unique keys whose window has ended,
-- rates that lie in the past, what was said to workers that are gone, and what schedules fired more than 400 days ago (longer than any window of missed instants).
-- Locks: the rows it removes; of rates and unique keys, which others write in an order of their own, it skips locked ones. The first
-- three tables are as small as the number of running jobs.
WITH old_progress AS (
    DELETE FROM haulage.progress AS p
    WHERE NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = p.job_id)
),
old_spans AS (
    DELETE FROM haulage.running_spans AS s
    WHERE NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = s.job_id)
),
old_requests AS (
    DELETE FROM haulage.cancel_requests AS c
    WHERE NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = c.job_id)
),
old_rates AS (
    DELETE FROM haulage.key_rates
    WHERE key = ANY (ARRAY (
        SELECT r.key FROM haulage.key_rates AS r WHERE r.full_at < now() - interval '1 minute' LIMIT 10000 FOR UPDATE SKIP LOCKED
    ))
),
old_quiet AS (
    DELETE FROM haulage.quiet_workers AS q
    WHERE NOT EXISTS (SELECT FROM haulage.workers AS w WHERE w.id = q.worker)
),
old_fires AS (
    DELETE FROM haulage.fires WHERE fired_at < now() - interval '400 days'
)
DELETE FROM haulage.unique_keys
WHERE key = ANY (ARRAY (
    SELECT k.key
    FROM haulage.unique_keys AS k
    WHERE k.until <= now() AND NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = k.job_id)
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
))
