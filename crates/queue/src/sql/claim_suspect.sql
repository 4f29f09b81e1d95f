-- Takes at most one suspect, a job whose process died twice while it ran, straight from parked to running under a lease of
-- its own. The caller runs one suspect at a time, so that a third death names the culprit.
-- It keeps the slot that it has of a limit. $1 the lease's token  $2 worker  $3 kinds  $4 queues
-- $5 the last revision known of each kind, parallel to $3
-- Locks: the row it takes. Index: live_jobs_suspect.
WITH claimed AS (
    UPDATE haulage.live_jobs AS j
    SET state = 2, place = 2, parked_for = NULL, attempt = j.attempt + 1, lease = $1::bigint, claimed_at = clock_timestamp()
    WHERE j.id = ANY (ARRAY (
        SELECT s.id
        FROM haulage.live_jobs AS s
        WHERE s.parked_for = 3 AND s.queue = ANY ($4::text[]) AND s.kind = ANY ($3::text[])
          AND (s.kind_revision = 0 OR s.kind_revision <= ($5::smallint[])[array_position($3::text[], s.kind)])
          AND NOT EXISTS (
              SELECT FROM haulage.queues AS q
              WHERE q.name = s.queue AND q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now())
          )
          AND EXISTS (SELECT FROM haulage.workers AS me WHERE me.id = $2::bigint AND me.dead_at IS NULL)
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING
        j.id, j.queue, j.kind, j.args::text AS args, j.priority, j.place, j.pos, j.attempt, j.failures, j.max_attempts, j.timeout_ms,
        j.root_id, j.trace_id, j.span_id, j.trace_flags, j.limit_key, j.created_at, j.eligible_at, j.crashes, j.tracestate, j.baggage,
        j.trace_relation, j.attempt = 1 AND j.run_at > j.created_at AS later
),
leased AS (
    INSERT INTO haulage.leases (id, worker, ids)
    SELECT $1::bigint, $2::bigint, array_agg(id)
    FROM claimed
    HAVING count(*) > 0
)
SELECT clock_timestamp(), id, queue, kind, args, priority, place, pos, attempt, failures, max_attempts, timeout_ms, root_id, trace_id, span_id,
    trace_flags, limit_key, created_at, eligible_at, crashes, tracestate, baggage, trace_relation, later
FROM claimed
