-- What a claim takes is chosen by a function, whose snapshot is newer than the statement's. Safe beside programs from version 3 on,
-- which go on with their own statement. Locks no table.

-- Available jobs of these queues by their places in the table, locked, at most `wants` of a queue: returned jobs first, then, if it is `in_line`, each priority's line
-- above its bound (arrays, parallel; each queue has four bounds). `revisions` are the last ones known of the kinds in `known`: jobs of a
-- later one are passed like those of a kind that is not known. Most have none, and pay for one comparison of numbers.
--
-- Large claims take turns, queue by queue. Beside another one, a claim walks over what that has locked; and whatever that commits after
-- this one's snapshot, it finds changed, looks at again, and leaves locked until its own end, so that the process whose jobs these are can't
-- settle them meanwhile. Hence also the function: a snapshot from before the turn would see the jobs that the one before has taken.
-- Turns (`in_turn`, parallel) are waited for 50 ms in all, a few times what a claim of a thousand takes: whoever has one may have stopped
-- in the middle, which `given_up` tells.
--
-- Locks: the rows it returns, skipping locked ones; an advisory lock of each queue in turn, in one order. Index: live_jobs_returned,
-- live_jobs_line. LATERAL is there for the planner: a join becomes quadratic when an estimate is off.
CREATE FUNCTION haulage.ready_jobs(
    known text[], revisions smallint[], asked text[], wants int[], in_line boolean[], bounds bigint[], in_turn boolean[],
    OUT places_in_table tid[], OUT waited_ms double precision, OUT given_up boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    turn int;
    began timestamptz := clock_timestamp();
    patience text;
    ms_left double precision;
BEGIN
    given_up := false;
    FOR turn IN
        SELECT DISTINCT hashtext(t.queue) AS key FROM unnest(asked, in_turn) AS t (queue, wanted) WHERE t.wanted ORDER BY key
    LOOP
        CONTINUE WHEN pg_try_advisory_xact_lock(1751217521, turn);
        patience := coalesce(patience, current_setting('lock_timeout'));
        ms_left := 50 - extract(epoch FROM clock_timestamp() - began) * 1000;
        given_up := ms_left < 1;
        EXIT WHEN given_up;
        BEGIN
            PERFORM set_config('lock_timeout', ceil(ms_left)::text, true);
            PERFORM pg_advisory_xact_lock(1751217521, turn);
        EXCEPTION WHEN lock_not_available THEN
            given_up := true; -- beside it, then
        END;
        PERFORM set_config('lock_timeout', patience, true);
        EXIT WHEN given_up;
    END LOOP;
    waited_ms := CASE WHEN patience IS NULL THEN 0 ELSE extract(epoch FROM clock_timestamp() - began) * 1000 END;
    SELECT array_agg(ready.place_in_table) INTO places_in_table
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

INSERT INTO haulage.compatibility (version, runs_with) VALUES (12, 3);
