-- Opens a cancelled operation again where it stopped. Returns it; no row when it is not cancelled.
-- $1 id. Locks: its row. Index: the primary key.
UPDATE haulage.operations
SET state = 'open', ended_at = NULL
WHERE id = $1::bigint AND state = 'cancelled'
RETURNING
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
