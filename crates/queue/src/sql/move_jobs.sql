-- Moves jobs that do not run to another queue; those in line go to the end of the line there. They get a new position, because the
-- bounds of claims on that line may have passed the old one. Returns the ids that went.
-- $1 ids  $2 queue
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH moved AS (
    UPDATE haulage.live_jobs
    SET queue = $2::text,
        -- In a limited queue place 2 is a slot, which it does not have there.
        place = CASE WHEN place = 2 AND haulage.is_limited($2::text) THEN 1 ELSE place END,
        pos = CASE WHEN place = 1 OR (place = 2 AND haulage.is_limited($2::text)) THEN nextval('haulage.job_pos') ELSE pos END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND (state IN (0, 1) OR parked_for IN (1, 2, 3)) AND queue <> $2::text
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, state
),
woken AS MATERIALIZED (
    SELECT CASE WHEN EXISTS (SELECT FROM moved WHERE state = 1) THEN haulage.wake($2::text)::text END AS told
)
SELECT id FROM moved, woken
