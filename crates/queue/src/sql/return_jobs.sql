-- Gives claimed jobs back unharmed (a stopping worker, a prefetch that could not be started in time): no failure, first in
-- line. Returns the ids that went.
-- $1 ids  $2 leases, parallel
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH sent AS (
    UPDATE haulage.live_jobs
    SET lease = NULL,
        -- A suspect stays one until it succeeds: it must not run beside others.
        state = CASE WHEN crashes >= 2 THEN 3 ELSE 1 END,
        place = CASE WHEN crashes >= 2 THEN 3 ELSE 2 END,
        parked_for = CASE WHEN crashes >= 2 THEN 3 END
    WHERE id = ANY (ARRAY (
        SELECT j.id
        FROM unnest($1::bigint[], $2::bigint[]) AS f (id, lease),
        LATERAL (
            SELECT l.id
            FROM haulage.live_jobs AS l
            WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
            FOR UPDATE SKIP LOCKED
        ) AS j
    ))
    RETURNING id, queue
),
woken AS MATERIALIZED (
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM sent) AS q
)
SELECT id FROM sent, woken
