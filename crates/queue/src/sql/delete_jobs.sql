-- Removes jobs that do not run, for good: their rows, their attempts with what these logged, where they were and their traces, the unique
-- keys they hold. Returns the ids that went.
-- $1 ids  $2, $3 none of them finished before and after these times (NULL: any time)
-- Locks: the rows, skipping locked ones. Index: the primary keys, of the history's partitions between the times.
WITH live AS (
    DELETE FROM haulage.live_jobs
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND state <> 2
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, unique_key, created_at, attempt > 0 AS tried
),
finished AS (
    DELETE FROM haulage.finished_jobs
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.finished_jobs
        WHERE id = ANY ($1::bigint[])
          AND finished_at >= coalesce($2::timestamptz, '-infinity') AND finished_at <= coalesce($3::timestamptz, 'infinity')
        FOR UPDATE SKIP LOCKED
    ))
      AND finished_at >= coalesce($2::timestamptz, '-infinity') AND finished_at <= coalesce($3::timestamptz, 'infinity')
    -- One that succeeded at once has left no attempt.
    RETURNING id, unique_key, created_at, attempt > 1 OR attempt = 1 AND state <> 5 AS tried
),
gone AS (
    SELECT id, unique_key, created_at, tried FROM live
    UNION ALL
    SELECT id, unique_key, created_at, tried FROM finished
),
their_attempts AS (
    DELETE FROM haulage.attempts
    WHERE job_id = ANY (ARRAY (SELECT id FROM gone WHERE tried)) AND ended_at >= (SELECT min(created_at) FROM gone)
),
their_logs AS (
    DELETE FROM haulage.attempt_logs
    WHERE job_id = ANY (ARRAY (SELECT id FROM gone)) AND ended_at >= (SELECT min(created_at) FROM gone)
),
their_traces AS (
    DELETE FROM haulage.attempt_traces
    WHERE job_id = ANY (ARRAY (SELECT id FROM gone)) AND at >= (SELECT min(created_at) FROM gone)
),
their_spans AS (
    DELETE FROM haulage.running_spans
    WHERE job_id = ANY (ARRAY (SELECT id FROM gone))
),
their_keys AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM gone WHERE unique_key IS NOT NULL)) AND job_id = ANY (ARRAY (SELECT id FROM gone))
),
their_requests AS (
    DELETE FROM haulage.cancel_requests
    WHERE job_id = ANY (ARRAY (SELECT id FROM gone))
)
SELECT id FROM gone
