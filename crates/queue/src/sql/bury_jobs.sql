-- Moves attempts to the history as dead or cancelled, each guarded by its lease, and records the attempt; returns the ids
-- that went. What does not come back was locked or is no longer ours.
-- Arrays, parallel: $1 ids  $2 leases  $3 state, 6 dead or 7 cancelled  $4 attempt outcome  $5 error class  $6 message,
-- NULL: the reason of the request to cancel
-- $7 how long the handler ran, ms, NULL if it never started  $8 whether it counts as a failure
-- $11 trace id, $12 span id of the attempt's span, NULL: it has none of its own  $13 the error's fingerprint, NULL: it did not fail
-- For all: $9 worker  $10 the worker's name
-- Locks: the job rows, skipping locked ones. Index: the primary key, then the rows' places in the table.
WITH verdicts AS MATERIALIZED (
    SELECT
        v.id, v.lease, v.state, v.outcome, v.error_class, v.ran_ms, v.failed, v.trace_id, v.span_id, v.fingerprint,
        coalesce(v.message, (SELECT c.reason FROM haulage.cancel_requests AS c WHERE c.job_id = v.id), 'cancelled while it ran') AS message
    FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::int[], $8::boolean[],
        $11::uuid[], $12::bigint[], $13::text[])
        AS v (id, lease, state, outcome, error_class, message, ran_ms, failed, trace_id, span_id, fingerprint)
),
ours AS MATERIALIZED (
    SELECT j.place_in_table, v.state, v.outcome, v.error_class, v.message, v.ran_ms, v.failed, v.trace_id, v.span_id, v.fingerprint
    FROM verdicts AS v,
    LATERAL (
        SELECT l.ctid AS place_in_table
        FROM haulage.live_jobs AS l
        WHERE l.id = v.id AND l.lease = v.lease AND l.state = 2
        FOR UPDATE SKIP LOCKED
    ) AS j
),
ended AS (
    DELETE FROM haulage.live_jobs AS j
    USING ours AS o
    WHERE j.ctid = o.place_in_table
    RETURNING
        j.id, j.run_at, j.eligible_at, j.created_at, j.claimed_at, j.lease, j.parent_id, j.root_id, j.trace_id, j.span_id, j.timeout_ms,
        j.attempt, j.priority, j.failures, j.max_attempts, j.crashes, j.trace_flags, j.trace_relation, j.kind_revision, j.queue, j.kind,
        j.args, j.meta, j.tags, j.limit_key, j.unique_key, j.tracestate, j.baggage, j.origin,
        o.state AS final_state, o.outcome, o.error_class, o.message, o.ran_ms, o.failed, o.trace_id AS own_trace, o.span_id AS own_span,
        o.fingerprint AS own_fingerprint
),
recorded AS (
    INSERT INTO haulage.attempts (
        job_id, attempt, outcome, error_class, message, worker, worker_name, due_at, eligible_at, claimed_at, started_at, ended_at,
        trace_id, span_id, fingerprint
    )
    SELECT
        e.id, e.attempt, e.outcome, e.error_class, e.message, $9::bigint, $10::text, e.run_at, e.eligible_at, e.claimed_at,
        now() - make_interval(secs => e.ran_ms / 1000.0), now(), coalesce(e.own_trace, e.trace_id), coalesce(e.own_span, e.span_id),
        e.own_fingerprint
    FROM ended AS e
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM ended WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
)
INSERT INTO haulage.finished_failed (
    id, run_at, eligible_at, created_at, claimed_at, lease, worker, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, state, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
    limit_key, unique_key, tracestate, baggage, origin, finished_at, error, fingerprint
)
SELECT
    e.id, e.run_at, e.eligible_at, e.created_at, e.claimed_at, e.lease, $9::bigint, e.parent_id, e.root_id, e.trace_id, e.span_id,
    e.timeout_ms, e.attempt, e.priority, (e.failures + CASE WHEN e.failed THEN 1 ELSE 0 END)::smallint, e.max_attempts, e.crashes, e.final_state,
    e.trace_flags, e.trace_relation, e.kind_revision, e.queue, e.kind, e.args, e.meta, e.tags, e.limit_key, e.unique_key, e.tracestate,
    e.baggage, e.origin, now(), e.message, e.own_fingerprint
FROM ended AS e
RETURNING id
