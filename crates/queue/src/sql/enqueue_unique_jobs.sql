-- Stores a batch of jobs with unique keys, sorted by key so that two batches can't deadlock; returns one row a job in the
-- order of the arrays: the id stored under and false, or the holder's id and true.
-- Returns no row when the parent's lease ($13) is lost.
-- Parameters as in enqueue_jobs.sql, and the arrays $22 key  $23 window in s, NULL while unfinished  $24 on conflict: 0 keep,
-- 1 replace args, 2 reschedule, 3 both  $25 limit key.
-- Locks: the new rows and their keys; waits for a transaction that has taken one of the keys and not committed yet.
WITH drafts AS MATERIALIZED (
    SELECT r.id, r.duplicate, coalesce(u.run_at, now() + make_interval(secs => u.delay_s), now()) AS at, u.*
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::smallint[], $5::smallint[], $6::int[], $7::timestamptz[], $8::double precision[],
        $9::text[], $10::text[], $14::smallint[], $20::smallint[], $22::uuid[], $23::double precision[], $24::smallint[],
        $25::text[]
    ) AS u (kind, queue, args, priority, max_attempts, timeout_ms, run_at, delay_s, tags, meta, kind_revision, trace_relation,
            unique_key, window_s, on_conflict, limit_key),
    LATERAL haulage.reserve_unique_key(
        u.unique_key, u.window_s, u.on_conflict, u.args::jsonb, coalesce(u.run_at, now() + make_interval(secs => u.delay_s), now()),
        u.kind_revision
    ) AS r
    WHERE $13::bigint IS NULL OR EXISTS (SELECT FROM haulage.live_jobs AS p WHERE p.id = $11::bigint AND p.lease = $13::bigint)
),
stored AS (
    INSERT INTO haulage.live_jobs (
        id, kind, queue, args, priority, max_attempts, timeout_ms, run_at, eligible_at, state, place, parked_for, limit_key, tags, meta, parent_id, root_id,
        kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin, unique_key
    )
    SELECT
        id, kind, queue, args::jsonb, priority, max_attempts, timeout_ms, at, at,
        CASE WHEN at > now() THEN 0 WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN at > now() THEN 0 WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN at <= now() AND limit_key IS NOT NULL THEN 2 END, limit_key, tags::text[], meta::jsonb, $11::bigint, $12::bigint,
        kind_revision, $15::uuid, $16::bigint, $17::smallint, $18::text, $19::text, trace_relation, $21::text::jsonb, unique_key
    FROM drafts
    WHERE NOT duplicate
    RETURNING queue, state, run_at
),
woken AS MATERIALIZED (
    SELECT count(CASE WHEN s.state <> 1 THEN haulage.wake_promoter(s.due)::text ELSE haulage.wake(s.queue)::text END) AS n
    FROM (SELECT state, CASE state WHEN 1 THEN queue END AS queue, min(run_at) AS due FROM stored GROUP BY 1, 2) AS s
)
SELECT d.id, d.duplicate FROM drafts AS d, woken
