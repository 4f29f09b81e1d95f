-- Takes one lease of a worker that is dead or absent, and its jobs with it: the first crash returns a job to the line, the
-- second parks it as a suspect, the third buries it as quarantined. Each gets an attempt that says "worker lost".
-- A claim in flight can commit after its worker was marked dead, so every pass looks at all dead and absent workers.
-- Returns a row a job taken, with whether it died; no row when nothing is left to do. A lease of which a job is locked by
-- somebody else stays for the next pass.
-- $1 leases to leave alone in this pass: those whose jobs were all locked
-- Locks: the lease and its jobs, skipping locked ones. Index: leases' primary key, live_jobs' primary key.
WITH lost AS MATERIALIZED (
    SELECT l.id, l.worker, l.ids, w.name
    FROM haulage.leases AS l
    LEFT JOIN haulage.workers AS w ON w.id = l.worker
    WHERE (w.id IS NULL OR w.dead_at IS NOT NULL) AND l.id <> ALL ($1::bigint[])
    LIMIT 1
    FOR UPDATE OF l SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT j.id, j.eligible_at
    FROM haulage.live_jobs AS j
    WHERE j.id = ANY (ARRAY (SELECT unnest(ids) FROM lost)) AND j.lease = (SELECT id FROM lost)
    FOR UPDATE SKIP LOCKED
),
back AS (
    UPDATE haulage.live_jobs AS j
    -- From now on it waits again. All lost workers of a kind have one fingerprint, as the client computes it.
    SET lease = NULL, crashes = j.crashes + 1, eligible_at = now(),
        fingerprint = left(encode(sha256(convert_to(j.kind || E'\nworker lost\n', 'UTF8')), 'hex'), 16),
        state = CASE WHEN j.crashes >= 1 THEN 3 ELSE 1 END,
        place = CASE WHEN j.crashes >= 1 THEN 3 ELSE 2 END,
        parked_for = CASE WHEN j.crashes >= 1 THEN 3 END
    WHERE j.id = ANY (ARRAY (SELECT id FROM held)) AND j.crashes < 2
    RETURNING
        j.id, j.queue, j.kind, j.attempt, j.failures, j.crashes, (SELECT h.eligible_at FROM held AS h WHERE h.id = j.id) AS eligible_at,
        j.claimed_at, j.trace_id, j.span_id
),
buried AS (
    DELETE FROM haulage.live_jobs
    WHERE id = ANY (ARRAY (SELECT id FROM held)) AND crashes >= 2
    RETURNING
        id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority,
        failures, max_attempts, crashes, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags, limit_key,
        unique_key, tracestate, baggage, origin
),
history AS (
    INSERT INTO haulage.finished_failed (
        id, run_at, eligible_at, created_at, claimed_at, lease, worker, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
        priority, failures, max_attempts, crashes, state, trace_flags, trace_relation, kind_revision, queue, kind, args, meta, tags,
        limit_key, unique_key, tracestate, baggage, origin, finished_at, error, fingerprint
    )
    SELECT
        id, run_at, eligible_at, created_at, claimed_at, lease, (SELECT worker FROM lost), parent_id, root_id, trace_id, span_id, timeout_ms,
        attempt, priority, failures, max_attempts, crashes + 1, 6, trace_flags, trace_relation, kind_revision, queue, kind, args, meta,
        tags, limit_key, unique_key, tracestate, baggage, origin, now(),
        'quarantined: its process died ' || crashes + 1 || ' times while it ran',
        left(encode(sha256(convert_to(kind || E'\nworker lost\n', 'UTF8')), 'hex'), 16)
    FROM buried
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM buried WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
),
taken AS (
    SELECT id, queue, kind, attempt, failures, crashes, eligible_at, claimed_at, trace_id, span_id, false AS died FROM back
    UNION ALL
    SELECT id, queue, kind, attempt, failures, (crashes + 1)::smallint, eligible_at, claimed_at, trace_id, span_id, true FROM buried
),
recorded AS (
    INSERT INTO haulage.attempts (
        job_id, attempt, outcome, error_class, message, worker, worker_name, eligible_at, claimed_at, ended_at, trace_id, span_id, fingerprint
    )
    SELECT
        t.id, t.attempt, 'worker lost', 'worker lost', 'the worker ' || coalesce(lost.name, lost.worker::text) || ' died while it held the job',
        lost.worker, lost.name, t.eligible_at, t.claimed_at, now(), t.trace_id, t.span_id,
        left(encode(sha256(convert_to(t.kind || E'\nworker lost\n', 'UTF8')), 'hex'), 16)
    FROM taken AS t, lost
),
emptied AS (
    DELETE FROM haulage.leases
    WHERE id = (SELECT id FROM lost)
      AND NOT EXISTS (
          SELECT FROM haulage.live_jobs AS j
          WHERE j.id = ANY (ARRAY (SELECT unnest(ids) FROM lost)) AND j.lease = (SELECT id FROM lost) AND j.id <> ALL (ARRAY (SELECT id FROM held))
      )
),
woken AS MATERIALIZED (
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM back) AS q
)
SELECT lost.id AS lease, t.id, t.kind, t.queue, t.attempt, t.failures, t.died, t.crashes
FROM lost
CROSS JOIN woken
LEFT JOIN taken AS t ON true
