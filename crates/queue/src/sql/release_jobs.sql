-- Puts held jobs back: those whose time is still to come among the scheduled ones, the others at the end of their line. They get a
-- new position, because the bounds of claims have passed the old one. Returns the ids that went.
-- $1 ids
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH released AS (
    UPDATE haulage.live_jobs
    SET pos = nextval('haulage.job_pos'), eligible_at = greatest(run_at, now()),
        -- A suspect stays one until it succeeds.
        state = CASE WHEN run_at > now() THEN 0 WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3 ELSE 1 END,
        place = CASE WHEN run_at > now() THEN 0 WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3 ELSE 1 END,
        parked_for = CASE WHEN run_at > now() THEN NULL WHEN crashes >= 2 THEN 3 WHEN limit_key IS NOT NULL THEN 2 END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND parked_for = 1
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, state = 0 OR parked_for IS NOT DISTINCT FROM 2 AS timed, queue, run_at
),
woken AS MATERIALIZED (
    SELECT count(CASE WHEN r.timed THEN haulage.wake_promoter(r.due)::text ELSE haulage.wake(r.queue)::text END) AS n
    FROM (
        SELECT timed, CASE WHEN NOT timed THEN queue END AS queue, min(run_at) AS due FROM released GROUP BY 1, 2
    ) AS r
)
SELECT id FROM released, woken
