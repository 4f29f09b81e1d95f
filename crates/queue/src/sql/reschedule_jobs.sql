-- Sends attempts back to run later, after a failure or a snooze, each guarded by its lease, and records the attempt; returns
-- the ids that went. What does not come back was locked or is no longer ours.
-- Arrays, parallel: $1 ids  $2 leases  $3 delay in s  $4 attempt outcome  $5 error class  $6 message
-- $7 how long the handler ran, ms  $8 whether it counts as a failure
-- $11 trace id, $12 span id of the attempt's span, NULL: it has none of its own  $13 the error's fingerprint, NULL: it did not fail
-- For all: $9 worker  $10 the worker's name
-- Locks: the job rows, skipping locked ones. Index: the primary key, then the rows' places in the table.
WITH verdicts AS MATERIALIZED (
    SELECT v.*
    FROM unnest($1::bigint[], $2::bigint[], $3::double precision[], $4::text[], $5::text[], $6::text[], $7::int[], $8::boolean[],
        $11::uuid[], $12::bigint[], $13::text[])
        AS v (id, lease, delay_s, outcome, error_class, message, ran_ms, failed, trace_id, span_id, fingerprint)
),
ours AS MATERIALIZED (
    SELECT
        j.place_in_table, j.due_at, j.eligible_at, j.claimed_at, v.delay_s, v.outcome, v.error_class, v.message, v.ran_ms, v.failed,
        v.trace_id, v.span_id, v.fingerprint
    FROM verdicts AS v,
    LATERAL (
        SELECT l.ctid AS place_in_table, l.run_at AS due_at, l.eligible_at, l.claimed_at
        FROM haulage.live_jobs AS l
        WHERE l.id = v.id AND l.lease = v.lease AND l.state = 2
        FOR UPDATE SKIP LOCKED
    ) AS j
),
sent AS (
    UPDATE haulage.live_jobs AS j
    SET state = 0, place = 0, lease = NULL,
        run_at = now() + make_interval(secs => o.delay_s), eligible_at = now() + make_interval(secs => o.delay_s),
        failures = least(j.failures + CASE WHEN o.failed THEN 1 ELSE 0 END, 32767), fingerprint = coalesce(o.fingerprint, j.fingerprint)
    FROM ours AS o
    WHERE j.ctid = o.place_in_table
    RETURNING
        j.id, j.attempt, j.run_at, coalesce(o.trace_id, j.trace_id) AS trace_id, coalesce(o.span_id, j.span_id) AS span_id, o.due_at,
        o.eligible_at, o.claimed_at, o.outcome, o.error_class, o.message, o.ran_ms, o.fingerprint
),
woken AS MATERIALIZED (
    SELECT haulage.wake_promoter(min(run_at)) FROM sent
),
recorded AS (
    INSERT INTO haulage.attempts (
        job_id, attempt, outcome, error_class, message, worker, worker_name, due_at, eligible_at, claimed_at, started_at,
        ended_at, next_run_at, trace_id, span_id, fingerprint
    )
    SELECT
        id, attempt, outcome, error_class, message, $9::bigint, $10::text, due_at, eligible_at, claimed_at,
        now() - make_interval(secs => ran_ms / 1000.0), now(), run_at, trace_id, span_id, fingerprint
    FROM sent
)
SELECT id FROM sent LEFT JOIN woken ON true
