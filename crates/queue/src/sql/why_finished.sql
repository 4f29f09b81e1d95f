-- A finished job, without what it was given and what it gave. $1 id. Index: the primary keys, one probe a history partition.
SELECT
    f.state, f.queue, f.kind, f.created_at, f.run_at, f.eligible_at, f.claimed_at, f.finished_at, f.attempt, f.failures, f.max_attempts,
    f.crashes, f.error
FROM haulage.finished_jobs AS f
WHERE f.id = $1::bigint
LIMIT 1
