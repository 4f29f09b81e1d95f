-- Takes available jobs of several queues for one worker under one new lease, at most `want` a queue: returned jobs first,
-- then each priority's line above its bound. Of a paused queue none; of a limited one those that admit_queue has let in, which
-- are in place 2. Always returns at least one row, so that the snapshot, the last
-- position handed out, whether the worker is still alive, and which queues are paused or limited are known when nothing was claimed.
-- $1 the lease's token  $2 worker  $3 kinds  $4 queues  $5 wants, parallel to $4
-- $6 the bounds of each queue's four lines, one queue after the other
-- $7 running transactions before this one are not told as the oldest  $8 the last revision known of each kind, parallel to $3: jobs
-- of a later one are passed like those of a kind that is not known  $9 of which queues it takes turns with other large claims, parallel
-- to $4
-- haulage.ready_jobs chooses and locks, with a snapshot of its own that is newer than this statement's: what was enqueued or put in line
-- between the two it locks, and it is not taken, which the number of the chosen tells: then no line has run dry.
-- Locks: those of haulage.ready_jobs. Index: the rows' places in the table (ctid): measured, 10 % cheaper than their keys. The arrays and
-- ANY (ARRAY (..)) are there for the planner: a join of CTEs becomes quadratic when an estimate is off.
-- claimed_at is the clock's time, not the transaction's: a job that was let in after another one ended must not look as if it had been
-- claimed before.
-- Commits asynchronously: a claim lost in a server crash only makes its jobs available again, and the token is random, so no
-- later claim can be given the same one.
WITH async AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
me AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM haulage.workers AS w WHERE w.id = $2::bigint AND w.dead_at IS NULL) AS alive
),
asked AS MATERIALIZED (
    SELECT u.n, u.queue, CASE WHEN s.paused OR NOT me.alive THEN 0 ELSE u.want END AS want, s.paused, coalesce(s.limited, false) AS limited
    FROM me, unnest($4::text[], $5::int[]) WITH ORDINALITY AS u (queue, want, n)
    LEFT JOIN LATERAL (
        SELECT
            q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused,
            q.max_running IS NOT NULL OR q.rate_count IS NOT NULL AS limited
        FROM haulage.queues AS q
        WHERE q.name = u.queue
    ) AS s ON true
),
chosen AS MATERIALIZED (
    SELECT r.places_in_table, r.waited_ms, r.given_up
    FROM haulage.ready_jobs(
        $3::text[], $8::smallint[], $4::text[], ARRAY (SELECT want FROM asked ORDER BY n), ARRAY (SELECT NOT limited FROM asked ORDER BY n),
        $6::bigint[], $9::boolean[]
    ) AS r
),
claimed AS (
    UPDATE haulage.live_jobs AS j
    SET state = 2, attempt = j.attempt + 1, lease = $1::bigint, claimed_at = clock_timestamp()
    FROM async
    WHERE j.ctid = ANY ((SELECT places_in_table FROM chosen)::tid[])
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
SELECT
    one.oldest, one.xmin, one.next_xid, one.last_pos, one.alive, one.paused, one.limited, one.clock, one.chosen, one.waited_ms, one.given_up,
    c.id, c.queue, c.kind, c.args, c.priority, c.place, c.pos, c.attempt, c.failures, c.max_attempts, c.timeout_ms,
    c.root_id, c.trace_id, c.span_id, c.trace_flags, c.limit_key, c.created_at, c.eligible_at, c.crashes, c.tracestate, c.baggage,
    c.trace_relation, c.later
FROM (
    SELECT
        coalesce(
            (SELECT min(x::text::bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS x WHERE x::text::bigint >= $7::bigint),
            m.xmax
        ) AS oldest,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
        -- A snapshot's own upper end is the last transaction that has *ended*: later ones may run, with numbers and positions drawn.
        -- age() counts from the next number to be given, in 32 bits.
        m.xmax + ((age('3'::xid)::bigint + 3 - m.xmax) & 4294967295) AS next_xid,
        (SELECT last_value FROM haulage.job_pos) AS last_pos,
        (SELECT alive FROM me) AS alive,
        (SELECT array_agg(queue) FROM asked WHERE paused) AS paused,
        (SELECT array_agg(queue) FROM asked WHERE limited) AS limited,
        clock_timestamp() AS clock,
        coalesce(cardinality(r.places_in_table), 0) AS chosen,
        r.waited_ms,
        r.given_up
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax) AS m, chosen AS r
) AS one
LEFT JOIN claimed AS c ON true
