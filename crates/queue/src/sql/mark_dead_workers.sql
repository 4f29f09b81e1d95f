-- Declares workers dead whose heartbeat is older than their lease, and forgets those that have been dead for an hour and own
-- no lease. Guarded, so that a heartbeat that comes at the same moment wins or loses as a whole. Returns the names of the dead.
-- None while the caller's own heartbeat is not the one it knows of: after a step of the clock everybody's lies too far back, and its
-- next one tells it of the step.
-- $1 the caller  $2 the time of its last heartbeat that it has had an answer to, NULL none
WITH dying AS (
    UPDATE haulage.workers
    SET dead_at = now()
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.workers
        WHERE dead_at IS NULL AND heartbeat_at < now() - make_interval(secs => lease_ms / 1000.0)
          AND EXISTS (
              SELECT
              FROM haulage.workers AS me
              WHERE me.id = $1::bigint AND me.heartbeat_at = $2::timestamptz
                AND me.heartbeat_at >= now() - make_interval(secs => me.lease_ms / 1000.0)
          )
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING name
),
forgotten AS (
    DELETE FROM haulage.workers AS w
    WHERE w.dead_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM haulage.leases AS l WHERE l.worker = w.id)
)
SELECT name FROM dying
