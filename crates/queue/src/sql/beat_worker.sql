-- A worker's heartbeat. Returns no row when the worker was declared dead: it must drop everything and register anew.
-- Returns the jobs that somebody asked to cancel; how many leases of this worker it does not know of although they are older
-- than 10 s, because the answer to their claim was lost (return_stranded.sql gives them back); whether a suspect waits in one of its
-- queues; the time written; the seconds since the beat before by the database's clock, which may have been set meanwhile; and whether
-- somebody has told it to claim nothing more.
-- $1 worker  $2 leases held  $3 jobs running
-- Locks: the worker's own row, nothing that could make a heartbeat wait. Index: primary keys, leases_worker.
WITH before AS MATERIALIZED (
    SELECT heartbeat_at FROM haulage.workers WHERE id = $1::bigint
),
me AS (
    UPDATE haulage.workers
    SET heartbeat_at = now(), running = $3::int
    WHERE id = $1::bigint AND dead_at IS NULL
    RETURNING id, queues, heartbeat_at
)
SELECT
    ARRAY (SELECT job_id FROM haulage.cancel_requests LIMIT 10000) AS cancel,
    (
        SELECT count(*)
        FROM haulage.leases
        WHERE worker = $1::bigint AND id <> ALL ($2::bigint[]) AND claimed_at < now() - interval '10 seconds'
    ) AS stranded,
    EXISTS (SELECT FROM haulage.live_jobs WHERE parked_for = 3 AND queue = ANY (me.queues)) AS suspects,
    me.heartbeat_at,
    (SELECT extract(epoch FROM me.heartbeat_at - b.heartbeat_at)::double precision FROM before AS b) AS since_s,
    EXISTS (SELECT FROM haulage.quiet_workers AS q WHERE q.worker = me.id AND q.resumed_at IS NULL) AS quiet
FROM me
