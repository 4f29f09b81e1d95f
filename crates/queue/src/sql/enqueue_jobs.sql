-- Stores a batch of jobs without unique keys; returns their ids in the order of the arrays.
-- Returns no row when the parent's lease ($13) is lost.
-- Arrays, one element a job: $1 kind  $2 queue  $3 args, JSON text  $4 priority  $5 max_attempts  $6 timeout in ms  $7 run_at
-- $8 delay in s  $9 tags, array literal  $10 meta, JSON text  $14 kind revision  $20 trace relation
-- For all: $11 parent  $12 root  $13 the parent's lease  $15 trace id  $16 span id  $17 trace flags  $18 tracestate
-- $19 baggage  $21 origin, JSON text
-- Locks: the new rows.
WITH drafts AS MATERIALIZED (
    SELECT nextval('haulage.live_jobs_id_seq') AS id, coalesce(u.run_at, now() + make_interval(secs => u.delay_s), now()) AS at, u.*
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::smallint[], $5::smallint[], $6::int[], $7::timestamptz[], $8::double precision[],
        $9::text[], $10::text[], $14::smallint[], $20::smallint[]
    ) AS u (kind, queue, args, priority, max_attempts, timeout_ms, run_at, delay_s, tags, meta, kind_revision, trace_relation)
    WHERE $13::bigint IS NULL OR EXISTS (SELECT FROM haulage.live_jobs AS p WHERE p.id = $11::bigint AND p.lease = $13::bigint)
),
stored AS (
    INSERT INTO haulage.live_jobs (
        id, kind, queue, args, priority, max_attempts, timeout_ms, run_at, eligible_at, state, place, tags, meta, parent_id, root_id,
        kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin
    )
    SELECT
        id, kind, queue, args::jsonb, priority, max_attempts, timeout_ms, at, at,
        CASE WHEN at > now() THEN 0 ELSE 1 END, CASE WHEN at > now() THEN 0 ELSE 1 END, tags::text[], meta::jsonb, $11::bigint, $12::bigint,
        kind_revision, $15::uuid, $16::bigint, $17::smallint, $18::text, $19::text, trace_relation, $21::text::jsonb
    FROM drafts
    RETURNING queue, state, run_at
),
woken AS MATERIALIZED (
    SELECT count(CASE WHEN s.state = 0 THEN haulage.wake_promoter(s.due)::text ELSE haulage.wake(s.queue)::text END) AS n
    FROM (SELECT state, CASE state WHEN 1 THEN queue END AS queue, min(run_at) AS due FROM stored GROUP BY 1, 2) AS s
)
SELECT d.id FROM drafts AS d, woken
