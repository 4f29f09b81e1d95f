-- Sets jobs aside until somebody releases them: scheduled, available and suspect ones. Returns the ids that went.
-- $1 ids
-- Locks: the job rows, skipping locked ones. Index: the primary key.
UPDATE haulage.live_jobs
SET state = 3, place = 3, parked_for = 1
WHERE id = ANY (ARRAY (
    SELECT id
    FROM haulage.live_jobs
    WHERE id = ANY ($1::bigint[]) AND (state IN (0, 1) OR parked_for IN (2, 3))
    ORDER BY id
    FOR UPDATE SKIP LOCKED
))
RETURNING id
