-- Gives jobs that do not run another priority; those in line go to the end of its line. They get a new position, because the bounds of
-- claims on that line may have passed the old one. Returns the ids that went.
-- $1 ids  $2 priority
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH moved AS (
    UPDATE haulage.live_jobs
    SET priority = $2::smallint, pos = CASE WHEN place = 1 THEN nextval('haulage.job_pos') ELSE pos END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND (state IN (0, 1) OR parked_for IN (1, 2, 3)) AND priority <> $2::smallint
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, queue, state
),
woken AS MATERIALIZED (
    -- A worker that found their rows locked may have gone to sleep.
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM moved WHERE state = 1) AS q
)
SELECT id FROM moved, woken
