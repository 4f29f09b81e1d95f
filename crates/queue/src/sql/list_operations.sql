-- Operations, newest first. $1 ids below this  $2 at most so many. Index: the primary key, read backwards.
SELECT
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
FROM haulage.operations
WHERE id < $1::bigint
ORDER BY id DESC
LIMIT $2::int
