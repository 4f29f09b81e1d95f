-- Moves jobs that do not run to another queue; those in line go to the end of the line there. They get a new position, because the
-- bounds of claims on that line may have passed the old one. Returns the ids that went.
-- $1 ids  $2 queue
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH moved AS (
    UPDATE haulage.live_jobs
    SET queue = $2::text, pos = CASE WHEN place = 1 THEN nextval('haulage.job_pos') ELSE pos END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND (state IN (0, 1) OR parked_for IN (1, 3)) AND queue <> $2::text
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, state
),
woken AS MATERIALIZED (
    SELECT CASE WHEN EXISTS (SELECT FROM moved WHERE state = 1) THEN haulage.wake($2::text)::text END AS told
)
SELECT id FROM moved, woken
