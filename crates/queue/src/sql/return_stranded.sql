-- Gives back the jobs of a live worker's leases that it does not know of and that are older than 10 s: their claim was
-- committed, its answer lost. No failure, no crash, first in line. Returns how many jobs.
-- $1 worker  $2 leases held
-- Locks: the leases and their jobs, skipping locked ones; a lease with a locked job stays for the next time.
-- Index: leases_worker, the primary key.
WITH stranded AS MATERIALIZED (
    SELECT l.id, l.ids
    FROM haulage.leases AS l
    WHERE l.worker = $1::bigint AND l.id <> ALL ($2::bigint[]) AND l.claimed_at < now() - interval '10 seconds'
    FOR UPDATE SKIP LOCKED
),
returned AS (
    UPDATE haulage.live_jobs
    SET lease = NULL,
        -- A suspect stays one until it succeeds: it must not run beside others.
        state = CASE WHEN crashes >= 2 THEN 3 ELSE 1 END,
        place = CASE WHEN crashes >= 2 THEN 3 ELSE 2 END,
        parked_for = CASE WHEN crashes >= 2 THEN 3 END
    WHERE id = ANY (ARRAY (
        SELECT j.id
        FROM haulage.live_jobs AS j
        WHERE j.id = ANY (ARRAY (SELECT unnest(ids) FROM stranded)) AND j.lease = ANY (ARRAY (SELECT id FROM stranded))
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id
),
emptied AS (
    DELETE FROM haulage.leases
    WHERE id = ANY (ARRAY (
        SELECT s.id
        FROM stranded AS s
        WHERE NOT EXISTS (
            SELECT FROM haulage.live_jobs AS j WHERE j.id = ANY (s.ids) AND j.lease = s.id AND j.id <> ALL (ARRAY (SELECT id FROM returned))
        )
    ))
)
SELECT count(*) FROM returned
