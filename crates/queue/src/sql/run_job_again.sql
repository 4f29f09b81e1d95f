-- Repeats a finished job as a new one, at the end of the line, with the same kind, args and options; it has no parent, and its
-- `origin` names the old job and who asked. Returns the new id; no row when there is no such finished job; NULL when another job
-- holds its unique key.
-- $1 id  $2 who asks
-- Locks: the new row and its unique key. Index: the primary keys, one probe a history partition.
WITH old AS MATERIALIZED (
    SELECT
        nextval('haulage.live_jobs_id_seq') AS new_id, f.trace_id, f.span_id, f.timeout_ms, f.priority, f.max_attempts, f.trace_flags,
        f.kind_revision, f.queue, f.kind, f.args, f.meta, f.tags, f.limit_key, f.unique_key, f.tracestate, f.baggage
    FROM haulage.finished_jobs AS f
    WHERE f.id = $1::bigint
    LIMIT 1
),
allowed AS MATERIALIZED (
    SELECT new_id FROM old WHERE haulage.retake_unique_key(unique_key, new_id)
),
stored AS (
    INSERT INTO haulage.live_jobs (
        id, trace_id, span_id, timeout_ms, priority, max_attempts, trace_flags, trace_relation, kind_revision, queue, kind, args, meta,
        tags, limit_key, unique_key, tracestate, baggage, origin, state, place, parked_for
    )
    SELECT
        new_id, trace_id, span_id, timeout_ms, priority, max_attempts, trace_flags, 2, kind_revision, queue, kind, args, meta,
        tags, limit_key, unique_key, tracestate, baggage, jsonb_build_object('again_of', $1::bigint, 'by', $2::text),
        CASE WHEN limit_key IS NULL THEN 1 ELSE 3 END, CASE WHEN limit_key IS NULL THEN 1 ELSE 3 END,
        CASE WHEN limit_key IS NOT NULL THEN 2 END
    FROM old
    WHERE new_id = (SELECT new_id FROM allowed)
    RETURNING id, queue, state
),
woken AS MATERIALIZED (
    SELECT count(CASE state WHEN 1 THEN haulage.wake(queue)::text ELSE haulage.wake_promoter(now())::text END) AS n FROM stored
)
SELECT (SELECT id FROM stored) AS id FROM old, woken
