-- Stores one job that has no unique key, and wakes a sleeper in the same round trip.
-- Returns no row when the parent's lease ($13) is lost.
-- $1 kind  $2 queue  $3 args, JSON text  $4 priority  $5 max_attempts  $6 timeout in ms, NULL none  $7 run_at  $8 delay in s
-- $9 tags, array literal  $10 meta, JSON text  $11 parent  $12 root  $13 the parent's lease, NULL unfenced  $14 kind revision
-- $15 trace id  $16 span id  $17 trace flags  $18 tracestate  $19 baggage  $20 trace relation  $21 origin, JSON text
-- $22 limit key; a job that has one waits for its key, and no key is locked here
-- Locks: the new row; the wake's advisory lock is released at once.
INSERT INTO haulage.live_jobs (
    kind, queue, args, priority, max_attempts, timeout_ms, run_at, eligible_at, state, place, parked_for, limit_key, tags, meta, parent_id, root_id,
    kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin
)
SELECT
    $1::text, $2::text, $3::text::jsonb, $4::smallint, $5::smallint, $6::int, t.at, t.at,
    CASE WHEN t.at > now() THEN 0 WHEN $22::text IS NOT NULL THEN 3 ELSE 1 END,
    CASE WHEN t.at > now() THEN 0 WHEN $22::text IS NOT NULL THEN 3 ELSE 1 END,
    CASE WHEN t.at <= now() AND $22::text IS NOT NULL THEN 2 END, $22::text,
    $9::text::text[], $10::text::jsonb, $11::bigint, $12::bigint,
    $14::smallint, $15::uuid, $16::bigint, $17::smallint, $18::text, $19::text, $20::smallint, $21::text::jsonb
FROM (SELECT coalesce($7::timestamptz, now() + make_interval(secs => $8::double precision), now()) AS at) AS t
WHERE $13::bigint IS NULL OR EXISTS (SELECT FROM haulage.live_jobs AS p WHERE p.id = $11::bigint AND p.lease = $13::bigint)
RETURNING
    id,
    CASE
        WHEN state <> 1 THEN haulage.wake_promoter(run_at)
        WHEN CASE WHEN pg_try_advisory_lock(1751217516, hashtext(queue)) THEN NOT pg_advisory_unlock(1751217516, hashtext(queue)) ELSE true END
        THEN pg_notify('haulage_wake', queue)
    END AS woken
