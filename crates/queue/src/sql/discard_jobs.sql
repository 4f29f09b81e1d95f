-- Gives up jobs that do not run: they are dead, and can be retried. Returns the ids that went.
-- $1 ids  $2 reason
-- Locks: the job rows, skipping locked ones. Index: the primary key.
WITH ended AS (
    DELETE FROM haulage.live_jobs
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE id = ANY ($1::bigint[]) AND state <> 2
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority,
        failures, max_attempts, crashes, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key,
        unique_key, tracestate, baggage, origin
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM ended WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
)
INSERT INTO haulage.finished_failed (
    id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, state, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
    limit_key, unique_key, tracestate, baggage, origin, finished_at, error
)
SELECT
    id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, 6, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
    limit_key, unique_key, tracestate, baggage, origin, now(), $2::text
FROM ended
RETURNING id
