-- What a claim takes is chosen by a function, whose snapshot is newer than the statement's. Safe beside programs from version 3 on,
-- which go on with their own statement. Locks no table.

-- Available jobs of these queues, locked, at most `wants` of a queue: returned jobs first, then, if it is `in_line`, each priority's line
-- above its bound (arrays, parallel; each queue has four bounds). `revisions` are the last ones known of the kinds in `known`: jobs of a
-- later one are passed like those of a kind that is not known. Most have none, and pay for one comparison of numbers.
--
-- Large claims take turns, queue by queue. Beside another one, a claim walks over what that has locked; and whatever that commits after
-- this one's snapshot, it finds changed, looks at again, and leaves locked until its own end, so that the process whose jobs these are can't
-- settle them meanwhile. Hence also the function: a snapshot from before the turn would see the jobs that the one before has taken.
-- A turn is waited for 50 ms, a few times what a claim of a thousand takes: whoever has it may have stopped in the middle.
--
-- Locks: the rows it returns, skipping locked ones; in turn an advisory lock of each queue, in one order. Index: live_jobs_returned,
-- live_jobs_line. LATERAL is there for the planner: a join becomes quadratic when an estimate is off.
CREATE FUNCTION haulage.ready_jobs(
    known text[], revisions smallint[], asked text[], wants int[], in_line boolean[], bounds bigint[], in_turn boolean
) RETURNS SETOF tid
LANGUAGE plpgsql AS $$
DECLARE
    patience text;
BEGIN
    IF in_turn THEN
        patience := current_setting('lock_timeout');
        BEGIN
            PERFORM set_config('lock_timeout', '50ms', true);
            PERFORM pg_advisory_xact_lock(1751217521, t.turn)
            FROM (SELECT DISTINCT hashtext(a.queue) AS turn FROM unnest(asked) AS a (queue) ORDER BY 1) AS t;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- beside it, then
        END;
        PERFORM set_config('lock_timeout', patience, true);
    END IF;
    RETURN QUERY
    SELECT ready.place_in_table
    FROM unnest(asked, wants, in_line) WITH ORDINALITY AS q (queue, want, in_line, n),
    LATERAL (
        SELECT both_places.place_in_table
        FROM (
            SELECT returned.place_in_table
            FROM (
                SELECT r.ctid AS place_in_table
                FROM haulage.live_jobs AS r
                WHERE r.queue = q.queue AND r.place = 2 AND r.state = 1 AND r.kind = ANY (known)
                  AND (r.kind_revision = 0 OR r.kind_revision <= revisions[array_position(known, r.kind)])
                ORDER BY r.priority, r.pos
                LIMIT q.want
                FOR UPDATE SKIP LOCKED
            ) AS returned
            UNION ALL
            SELECT waiting.place_in_table
            FROM unnest('{0,1,2,3}'::smallint[]) AS line (priority),
            LATERAL (
                SELECT w.ctid AS place_in_table
                FROM haulage.live_jobs AS w
                WHERE w.queue = q.queue AND w.priority = line.priority AND w.place = 1
                  AND w.pos > bounds[(q.n - 1) * 4 + line.priority + 1]
                  AND w.state = 1 AND w.kind = ANY (known)
                  AND (w.kind_revision = 0 OR w.kind_revision <= revisions[array_position(known, w.kind)])
                ORDER BY w.pos
                LIMIT q.want
                FOR UPDATE SKIP LOCKED
            ) AS waiting
            WHERE q.in_line
        ) AS both_places
        LIMIT q.want
    ) AS ready;
END;
$$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (14, 3);
