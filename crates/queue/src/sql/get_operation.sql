-- An operation. $1 id. Index: the primary key.
SELECT
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
FROM haulage.operations
WHERE id = $1::bigint
