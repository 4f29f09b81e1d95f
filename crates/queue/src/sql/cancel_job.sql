-- Cancels a job: at once when it is not running; else as a request that its worker is told of. Returns the state it was in
-- (NULL: no unfinished job has this id).
-- $1 id  $2 reason
-- Locks: the job's row; waits for a claim or a settle that holds it. Index: the primary key.
WITH target AS MATERIALIZED (
    SELECT id, state FROM haulage.live_jobs WHERE id = $1::bigint FOR UPDATE
),
ended AS (
    DELETE FROM haulage.live_jobs
    WHERE id = (SELECT id FROM target WHERE state <> 2)
    RETURNING
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority,
        failures, max_attempts, crashes, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key,
        unique_key, tracestate, baggage, origin
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM ended WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
),
history AS (
    INSERT INTO haulage.finished_failed (
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
        priority, failures, max_attempts, crashes, state, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
        limit_key, unique_key, tracestate, baggage, origin, finished_at, error
    )
    SELECT
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
        priority, failures, max_attempts, crashes, 7, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
        limit_key, unique_key, tracestate, baggage, origin, now(), $2::text
    FROM ended
),
asked AS (
    INSERT INTO haulage.cancel_requests (job_id, reason)
    SELECT id, $2::text FROM target WHERE state = 2
    ON CONFLICT (job_id) DO NOTHING
)
SELECT target.state, CASE WHEN target.state = 2 THEN pg_notify('haulage_cancel', $1::bigint::text) END AS told
FROM target
