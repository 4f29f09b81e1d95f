-- Gives a job other args, if it does not run, has not completed and still has those that were looked at. One in line goes to the end of
-- its line: it gets a new position, because the bounds of claims on that line may have passed the old one. Returns its id; no row if
-- that does not hold or somebody has locked it.
-- $1 id  $2 the args that it has, as text  $3 its new args, as text
-- Locks: the job's row, unless it is locked. Index: the primary keys.
WITH live AS (
    UPDATE haulage.live_jobs
    SET args = $3::text::jsonb, pos = CASE WHEN place = 1 THEN nextval('haulage.job_pos') ELSE pos END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = $1::bigint AND state <> 2 AND args = $2::text::jsonb
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, queue, state
),
finished AS (
    UPDATE haulage.finished_failed
    SET args = $3::text::jsonb
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.finished_failed
        WHERE id = $1::bigint AND args = $2::text::jsonb
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id
),
woken AS MATERIALIZED (
    -- A worker that found its row locked may have gone to sleep.
    SELECT count(haulage.wake(l.queue)::text) AS n FROM live AS l WHERE l.state = 1
)
SELECT id FROM live, woken
UNION ALL
SELECT id FROM finished
