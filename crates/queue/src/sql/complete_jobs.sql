-- Moves finished attempts to the history as completed, each guarded by its lease; returns the ids that went.
-- An id that does not come back was locked by somebody else (try again) or is no longer ours (its lease is lost).
-- The time is the statement's, not the transaction's: a handler's own transaction began before its work.
-- $1 ids  $2 leases, parallel  $3 worker  $4 leases to remove if every row went: those that this batch empties
-- $5 ids, $6 JSON texts of the jobs that recorded an output
-- Locks: the job rows, skipping locked ones. Index: the primary key, then the rows' places in the table. LATERAL with a lock can't be
-- turned into a join: analyzed while nothing ran, a join took "state = 2" for no rows and compared each pair with every job.
WITH done AS (
    DELETE FROM haulage.live_jobs
    WHERE ctid = ANY (ARRAY (
        SELECT j.ctid
        FROM unnest($1::bigint[], $2::bigint[]) AS f (id, lease),
        LATERAL (
            SELECT l.ctid
            FROM haulage.live_jobs AS l
            WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
            FOR UPDATE SKIP LOCKED
        ) AS j
    ))
    RETURNING
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority,
        failures, max_attempts, crashes, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key,
        unique_key, tracestate, baggage, origin
),
emptied AS (
    DELETE FROM haulage.leases
    WHERE id = ANY ($4::bigint[]) AND (SELECT count(*) FROM done) = cardinality($1::bigint[])
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM done WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
)
INSERT INTO haulage.finished_completed (
    id, run_at, eligible_at, created_at, claimed_at, lease, worker, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, state, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
    limit_key, unique_key, tracestate, baggage, origin, finished_at, output
)
SELECT
    id, run_at, eligible_at, created_at, claimed_at, lease, $3::bigint, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, 5, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
    limit_key, unique_key, tracestate, baggage, origin, statement_timestamp(),
    CASE WHEN id = ANY ($5::bigint[]) THEN ($6::text[])[array_position($5::bigint[], id)]::jsonb END
FROM done
RETURNING id
