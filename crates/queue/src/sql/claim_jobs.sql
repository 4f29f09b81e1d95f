-- Takes available jobs of several queues for one worker under one new lease, at most `want` a queue: returned jobs first,
-- then each priority's line above its bound. Of a paused queue none; of a limited one those that admit_queue has let in, which
-- are in place 2. Always returns at least one row, so that the snapshot, the last
-- position handed out, whether the worker is still alive, and which queues are paused or limited are known when nothing was claimed.
-- $1 the lease's token  $2 worker  $3 kinds  $4 queues  $5 wants, parallel to $4
-- $6 the bounds of each queue's four lines, one queue after the other
-- $7 running transactions before this one are not told as the oldest  $8 the last revision known of each kind, parallel to $3: jobs
-- of a later one are passed like those of a kind that is not known. Most have none, and pay for one comparison of numbers.
-- Locks: the rows it takes; rows that somebody else has locked are skipped.
-- Index: live_jobs_returned, live_jobs_line, then the rows' places in the table (ctid): measured, 10 % cheaper than their keys. A
-- row that was moved by an update between the statement's snapshot and its lock is locked and not taken; whatever updates an
-- available job puts it into place 2, which has no bound, and a sweep finds what a bound passed because of it. The arrays and ANY (ARRAY (..)) are there for
-- the planner: a join of CTEs becomes quadratic when an estimate is off.
-- claimed_at is the clock's time, not the transaction's: a job that was let in after another one ended must not look as if it had been
-- claimed before.
-- Commits asynchronously: a claim lost in a server crash only makes its jobs available again, and the token is random, so no
-- later claim can be given the same one.
WITH async AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
claimed AS (
    UPDATE haulage.live_jobs AS j
    SET state = 2, attempt = j.attempt + 1, lease = $1::bigint, claimed_at = clock_timestamp()
    FROM async
    WHERE j.ctid = ANY (ARRAY (
        SELECT ready.ctid
        FROM (
            SELECT u.queue, u.n, CASE WHEN g.paused THEN 0 ELSE u.want END AS want, coalesce(g.limited, false) AS limited
            FROM unnest($4::text[], $5::int[]) WITH ORDINALITY AS u (queue, want, n)
            LEFT JOIN LATERAL (
                SELECT
                    s.paused_at IS NOT NULL AND (s.paused_until IS NULL OR s.paused_until > now()) AS paused,
                    s.max_running IS NOT NULL OR s.rate_count IS NOT NULL AS limited
                FROM haulage.queues AS s
                WHERE s.name = u.queue
            ) AS g ON true
            OFFSET 0 -- decided before a row is locked
        ) AS q,
        LATERAL (
            SELECT both_places.ctid
            FROM (
                SELECT returned.ctid
                FROM (
                    SELECT r.ctid
                    FROM haulage.live_jobs AS r
                    WHERE r.queue = q.queue AND r.place = 2 AND r.state = 1 AND r.kind = ANY ($3::text[])
                      AND (r.kind_revision = 0 OR r.kind_revision <= ($8::smallint[])[array_position($3::text[], r.kind)])
                    ORDER BY r.priority, r.pos
                    LIMIT q.want
                    FOR UPDATE SKIP LOCKED
                ) AS returned
                UNION ALL
                SELECT waiting.ctid
                FROM unnest('{0,1,2,3}'::smallint[]) AS line (priority),
                LATERAL (
                    SELECT w.ctid
                    FROM haulage.live_jobs AS w
                    WHERE w.queue = q.queue AND w.priority = line.priority AND w.place = 1
                      AND w.pos > ($6::bigint[])[(q.n - 1) * 4 + line.priority + 1]
                      AND w.state = 1 AND w.kind = ANY ($3::text[])
                      AND (w.kind_revision = 0 OR w.kind_revision <= ($8::smallint[])[array_position($3::text[], w.kind)])
                    ORDER BY w.pos
                    LIMIT q.want
                    FOR UPDATE SKIP LOCKED
                ) AS waiting
                WHERE NOT q.limited
            ) AS both_places
            LIMIT q.want
        ) AS ready
        WHERE EXISTS (SELECT FROM haulage.workers AS me WHERE me.id = $2::bigint AND me.dead_at IS NULL)
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
SELECT
    one.oldest, one.xmin, one.next_xid, one.last_pos, one.alive, one.paused, one.limited, one.clock,
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
        EXISTS (SELECT FROM haulage.workers AS me WHERE me.id = $2::bigint AND me.dead_at IS NULL) AS alive,
        (
            SELECT array_agg(s.name)
            FROM haulage.queues AS s
            WHERE s.name = ANY ($4::text[]) AND s.paused_at IS NOT NULL AND (s.paused_until IS NULL OR s.paused_until > now())
        ) AS paused,
        (
            SELECT array_agg(s.name)
            FROM haulage.queues AS s
            WHERE s.name = ANY ($4::text[]) AND (s.max_running IS NOT NULL OR s.rate_count IS NOT NULL)
        ) AS limited,
        clock_timestamp() AS clock
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax) AS m
) AS one
LEFT JOIN claimed AS c ON true
