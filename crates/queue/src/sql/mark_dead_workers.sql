-- Declares workers dead whose heartbeat is older than their lease, and forgets those that have been dead for an hour and own
-- no lease. Guarded, so that a heartbeat that comes at the same moment wins or loses as a whole. Returns the names of the dead.
-- The age of a heartbeat is reckoned from the caller's own last one by the caller's own clock, or by the database's where that says
-- less: a step of the database's clock that the caller has not seen yet makes nobody older. Once it has seen one, each of the others
-- has the time of its own lease to send a heartbeat by the new clock.
-- $1 the caller  $2 the time of its last heartbeat that it has had an answer to, NULL none  $3 seconds since that answer
-- $4 seconds since it saw the clock set or had no answer to a heartbeat, NULL never; $3 and $4 by its own clock
WITH dying AS (
    UPDATE haulage.workers
    SET dead_at = now()
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.workers
        WHERE dead_at IS NULL
          AND heartbeat_at < least(now(), $2::timestamptz + make_interval(secs => $3::double precision)) - make_interval(secs => lease_ms / 1000.0)
          AND ($4::double precision IS NULL OR lease_ms / 1000.0 <= $4::double precision)
          AND EXISTS (
              SELECT
              FROM haulage.workers AS me
              WHERE me.id = $1::bigint AND me.heartbeat_at = $2::timestamptz AND $3::double precision <= me.lease_ms / 1000.0
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
