-- Stores a batch of jobs without unique keys, and wakes sleepers. Always returns one row: the ids in the order of the arrays, and
-- two columns that are there to be computed. NULL ids: the parent's lease ($13) is lost.
-- Arrays with an element a job, or with a single one that stands for all (measured: half of what options cost):
-- $1 kind  $2 queue  $3 args, JSON text  $4 priority  $5 max_attempts  $6 timeout in ms  $7 run_at  $8 delay in s
-- $9 tags, array literal  $10 meta, JSON text  $14 kind revision  $20 trace relation
-- $23 limit key. A single one of $7 to $10, $20 and $23 must be NULL.
-- For all: $11 parent  $12 root  $13 the parent's lease  $15 trace id  $16 span id  $17 trace flags  $18 tracestate
-- $19 baggage  $21 origin, JSON text  $22 queues to wake if a job is due at once
-- Locks: the new rows.
WITH stored AS (
    INSERT INTO haulage.live_jobs (
        kind, queue, args, priority, max_attempts, timeout_ms, run_at, eligible_at, state, place, parked_for, limit_key, tags, meta, parent_id, root_id,
        kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin
    )
    SELECT
        coalesce(u.kind, one.kind), coalesce(u.queue, one.queue), u.args::jsonb, coalesce(u.priority, one.priority),
        coalesce(u.max_attempts, one.max_attempts), CASE WHEN one.timeout THEN one.timeout_ms ELSE u.timeout_ms END, t.at, t.at,
        CASE WHEN t.at > now() THEN 0 WHEN u.limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at > now() THEN 0 WHEN u.limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN t.at <= now() AND u.limit_key IS NOT NULL THEN 2 END, u.limit_key,
        u.tags::text[], u.meta::jsonb, $11::bigint, $12::bigint,
        coalesce(u.kind_revision, one.kind_revision), $15::uuid, $16::bigint, $17::smallint, $18::text, $19::text, u.trace_relation,
        $21::text::jsonb
    FROM (
        SELECT
            ($1::text[])[1] AS kind, ($2::text[])[1] AS queue, ($4::smallint[])[1] AS priority, ($5::smallint[])[1] AS max_attempts,
            cardinality($6::int[]) = 1 AS timeout, ($6::int[])[1] AS timeout_ms, ($14::smallint[])[1] AS kind_revision
        OFFSET 0 -- computed once, not once a row
    ) AS one,
    unnest(
        $1::text[], $2::text[], $3::text[], $4::smallint[], $5::smallint[], $6::int[], $7::timestamptz[], $8::double precision[],
        $9::text[], $10::text[], $14::smallint[], $20::smallint[], $23::text[]
    ) AS u (kind, queue, args, priority, max_attempts, timeout_ms, run_at, delay_s, tags, meta, kind_revision, trace_relation, limit_key),
    LATERAL (SELECT coalesce(u.run_at, now() + make_interval(secs => u.delay_s), now()) AS at) AS t
    WHERE $13::bigint IS NULL OR EXISTS (SELECT FROM haulage.live_jobs AS p WHERE p.id = $11::bigint AND p.lease = $13::bigint)
    RETURNING id, CASE WHEN state <> 1 THEN run_at END AS due
)
SELECT
    array_agg(id) AS ids,
    CASE WHEN count(due) < count(*) THEN (SELECT count(haulage.wake(q.queue)) FROM unnest($22::text[]) AS q (queue)) END AS woken,
    CASE WHEN min(due) IS NOT NULL THEN haulage.wake_promoter(min(due)) END AS promoted
FROM stored
