-- Cancels jobs that somebody asked to cancel while they ran and that do not run any more: their attempt failed, snoozed or was
-- given back before it was told. Returns how many.
-- Locks: the job rows, skipping locked ones. Index: the primary keys; the requests are few.
WITH ended AS (
    DELETE FROM haulage.live_jobs
    WHERE id = ANY (ARRAY (
        SELECT j.id
        FROM haulage.cancel_requests AS c
        JOIN haulage.live_jobs AS j ON j.id = c.job_id
        WHERE j.state <> 2
        LIMIT 1000
        FOR UPDATE OF j SKIP LOCKED
    ))
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
        e.id, e.run_at, e.eligible_at, e.created_at, e.claimed_at, e.lease, e.parent_id, e.root_id, e.trace_id, e.span_id, e.timeout_ms,
        e.attempt, e.priority, e.failures, e.max_attempts, e.crashes, 7, e.trace_flags, e.trace_relation, e.kind_revision, e.queue,
        e.kind, e.args, e.meta, e.tags, e.limit_key, e.unique_key, e.tracestate, e.baggage, e.origin, now(),
        (SELECT c.reason FROM haulage.cancel_requests AS c WHERE c.job_id = e.id)
    FROM ended AS e
)
SELECT count(*) FROM ended
