-- Removes rows beside jobs that are no longer live: progress, cancel requests, unique keys whose window has ended.
-- Locks: the rows it removes. The first two tables are as small as the number of running jobs.
WITH old_progress AS (
    DELETE FROM haulage.progress AS p
    WHERE NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = p.job_id)
),
old_requests AS (
    DELETE FROM haulage.cancel_requests AS c
    WHERE NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = c.job_id)
)
DELETE FROM haulage.unique_keys
WHERE key = ANY (ARRAY (
    SELECT k.key
    FROM haulage.unique_keys AS k
    WHERE k.until <= now() AND NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = k.job_id)
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
))
