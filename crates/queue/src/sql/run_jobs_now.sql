-- Makes scheduled jobs (waiting for their time, backing off, snoozed) available now. Returns the ids that went.
-- $1 ids  $2 whether they go first (place 2); else at the end of their line under a new position, for many: place 2 has no bound
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH moved AS (
    UPDATE haulage.live_jobs
    SET run_at = now(), eligible_at = now(),
        -- In a limited queue place 2 is a slot, and one with a limit key waits for it.
        pos = CASE WHEN $2::boolean AND NOT haulage.is_limited(queue) THEN pos ELSE nextval('haulage.job_pos') END,
        -- A suspect stays one until it succeeds: it must not run beside others.
        state = CASE WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3 ELSE 1 END,
        place = CASE
            WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3
            WHEN $2::boolean AND NOT haulage.is_limited(queue) THEN 2
            ELSE 1
        END,
        parked_for = CASE WHEN crashes >= 2 THEN 3 WHEN limit_key IS NOT NULL THEN 2 END
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND state = 0
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, queue, parked_for
),
woken AS MATERIALIZED (
    SELECT count(CASE WHEN q.keyed THEN haulage.wake_promoter(now())::text ELSE haulage.wake(q.queue)::text END) AS n
    FROM (SELECT DISTINCT queue, parked_for = 2 AS keyed FROM moved) AS q
)
SELECT id FROM moved, woken
