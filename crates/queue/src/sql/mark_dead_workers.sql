-- Declares workers dead whose heartbeat is older than their lease, and forgets those that have been dead for an hour and own
-- no lease. Guarded, so that a heartbeat that comes at the same moment wins or loses as a whole. Returns the names of the dead.
WITH dying AS (
    UPDATE haulage.workers
    SET dead_at = now()
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.workers
        WHERE dead_at IS NULL AND heartbeat_at < now() - make_interval(secs => lease_ms / 1000.0)
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING name
),
forgotten AS (
    DELETE FROM haulage.workers AS w
    WHERE w.dead_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM haulage.leases AS l WHERE l.worker = w.id)
)
SELECT name FROM dying
