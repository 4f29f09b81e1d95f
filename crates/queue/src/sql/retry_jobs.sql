-- Brings dead and cancelled jobs back from the history with their ids: at the end of the line, with no failures, their attempts
-- kept. One that was quarantined comes back as a suspect, so that it runs alone. Returns the ids that went; what does not come back
-- is not dead or cancelled, was locked by somebody else, or its unique key is held by another job.
-- $1 ids  $2, $3 none of them finished before and after these times (NULL: any time)
-- Locks: the history rows, skipping locked ones; the unique keys. Index: the primary key of the partitions between the times.
WITH wanted AS MATERIALIZED (
    SELECT f.id, f.unique_key
    FROM haulage.finished_failed AS f
    WHERE f.id = ANY ($1::bigint[])
      AND f.finished_at >= coalesce($2::timestamptz, '-infinity') AND f.finished_at <= coalesce($3::timestamptz, 'infinity')
    FOR UPDATE SKIP LOCKED
),
keyed AS MATERIALIZED (
    -- Of several with one key the newest; in the order of the keys, so that two batches can't deadlock.
    SELECT k.id
    FROM (SELECT DISTINCT ON (unique_key) id, unique_key FROM wanted WHERE unique_key IS NOT NULL ORDER BY unique_key, id DESC) AS k
    WHERE haulage.retake_unique_key(k.unique_key, k.id)
),
taken AS (
    DELETE FROM haulage.finished_failed
    WHERE id = ANY (ARRAY (SELECT id FROM wanted WHERE unique_key IS NULL UNION ALL SELECT id FROM keyed))
      AND finished_at >= coalesce($2::timestamptz, '-infinity') AND finished_at <= coalesce($3::timestamptz, 'infinity')
    RETURNING
        id, created_at, claimed_at, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority, max_attempts, crashes,
        trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key, unique_key, tracestate, baggage, origin
),
forgotten AS (
    -- Or the request that cancelled it would cancel it again.
    DELETE FROM haulage.cancel_requests
    WHERE job_id = ANY (ARRAY (SELECT id FROM taken))
),
back AS (
    INSERT INTO haulage.live_jobs (
        id, created_at, claimed_at, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority, max_attempts, crashes,
        trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key, unique_key, tracestate, baggage, origin,
        state, place, parked_for
    )
    SELECT
        id, created_at, claimed_at, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority, max_attempts,
        least(crashes, 2)::smallint, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key, unique_key,
        tracestate, baggage, origin,
        -- One with a limit key waits for it.
        CASE WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN crashes >= 2 OR limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN crashes >= 2 THEN 3 WHEN limit_key IS NOT NULL THEN 2 END
    FROM taken
    ORDER BY id
    RETURNING id, queue, parked_for
),
woken AS MATERIALIZED (
    SELECT count(CASE WHEN q.keyed THEN haulage.wake_promoter(now())::text ELSE haulage.wake(q.queue)::text END) AS n
    FROM (SELECT DISTINCT queue, parked_for = 2 AS keyed FROM back) AS q
)
SELECT id FROM back, woken
