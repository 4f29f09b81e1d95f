-- Takes one job by its id, whether its time has come, its key has room or not, under a lease of its own: for a test that runs just this one. No
-- row: it is running, finished, set aside, of another kind, or of a
-- later revision.
-- $1 the lease's token  $2 worker  $3 kinds  $4 id  $5 the last revision known of each kind, parallel to $3
-- Locks: the row, waiting for it. Index: the primary key.
WITH claimed AS (
    UPDATE haulage.live_jobs AS j
    SET state = 2, place = 2, parked_for = NULL, attempt = j.attempt + 1, lease = $1::bigint, claimed_at = now(),
        eligible_at = least(j.eligible_at, now())
    WHERE j.id = $4::bigint AND (j.state IN (0, 1) OR j.parked_for IN (2, 3)) AND j.kind = ANY ($3::text[])
      AND (j.kind_revision = 0 OR j.kind_revision <= ($5::smallint[])[array_position($3::text[], j.kind)])
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
