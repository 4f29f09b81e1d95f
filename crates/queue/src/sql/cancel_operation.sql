-- Stops an open operation where it is. Returns it; no row when it is not open.
-- $1 id. Locks: its row; waits for the batch under way. Index: the primary key.
UPDATE haulage.operations
SET state = 'cancelled', ended_at = now()
WHERE id = $1::bigint AND state = 'open'
RETURNING
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
