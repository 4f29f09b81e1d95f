-- Cancels jobs: at once those that do not run; the others by a request that their workers are told of. Returns the ids that went,
-- or whose worker is told.
-- $1 ids  $2 reason
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH target AS MATERIALIZED (
    SELECT id, state
    FROM haulage.live_jobs
    WHERE id = ANY ($1::bigint[])
    ORDER BY id
    FOR UPDATE SKIP LOCKED
),
ended AS (
    DELETE FROM haulage.live_jobs
    WHERE id = ANY (ARRAY (SELECT id FROM target WHERE state <> 2))
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
SELECT id, CASE WHEN state = 2 THEN pg_notify('haulage_cancel', id::text) END AS told
FROM target
