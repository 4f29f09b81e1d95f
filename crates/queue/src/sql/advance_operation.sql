-- Writes down what a batch did, in its transaction. Returns the operation.
-- $1 id  $2 everything up to this id has had its turn; NULL: nothing is left, the operation is done
-- $3 jobs done  $4 jobs skipped so far, by reason, JSON text  $5 jobs failed so far, by error, JSON text
-- Locks: its row, locked already. Index: the primary key.
UPDATE haulage.operations
SET cursor = coalesce($2::bigint, cursor), done = done + $3::bigint, skipped = $4::text::jsonb, failed = $5::text::jsonb, stepped_at = now(),
    state = CASE WHEN $2::bigint IS NULL THEN 'done' ELSE state END, ended_at = CASE WHEN $2::bigint IS NULL THEN now() END
WHERE id = $1::bigint AND state = 'open'
RETURNING
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
