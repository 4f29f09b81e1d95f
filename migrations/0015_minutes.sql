-- What ended, by queue and kind, in each minute, ten minutes and hour: what charts are drawn from, so that none counts jobs. Safe beside
-- programs from version 3 on, which write none of it: a new table and a function. Nothing is read and nobody waits.

-- Added up in the memory of each worker and written about once a minute, apart from the results. All three lengths are written at once, so
-- nothing has to be rolled up later, and an hour is there while it goes on.
--
-- waits and runs count by length: the first those below 1 ms, the next below 2, 4, 8, ... ms; what is left out at the end is 0.
CREATE TABLE haulage.minutes (
    length    smallint    NOT NULL CHECK (length IN (1, 10, 60)),
    start     timestamptz NOT NULL,
    queue     text        NOT NULL,
    kind      text        NOT NULL,                    -- 'other' beyond the kinds that a worker counts by name
    completed bigint      NOT NULL,
    retried   bigint      NOT NULL,                    -- attempts that failed and were not the last
    dead      bigint      NOT NULL,
    cancelled bigint      NOT NULL,
    snoozed   bigint      NOT NULL,
    wait_ms   bigint      NOT NULL,                    -- from when only the queue made it wait to the start of its handler
    run_ms    bigint      NOT NULL,
    waits     bigint[]    NOT NULL,
    runs      bigint[]    NOT NULL,
    PRIMARY KEY (length, start, queue, kind)
) WITH (fillfactor = 50);

-- Adds what was counted within some time whose middle was `ago` seconds ago. Arrays, parallel; the last two hold arrays as text. False:
-- somebody has locked a row or the table for longer than 50 ms, and nothing is stored; other duties wait for the same connection.
CREATE FUNCTION haulage.save_minutes(
    ago double precision, of_queues text[], of_kinds text[], completions bigint[], retries bigint[], deaths bigint[], cancels bigint[],
    snoozes bigint[], waited_ms bigint[], ran_ms bigint[], wait_counts text[], run_counts text[]
) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    -- A minute lost in a server crash is a gap in a chart.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.minutes AS m (
        length, start, queue, kind, completed, retried, dead, cancelled, snoozed, wait_ms, run_ms, waits, runs
    )
    SELECT
        l.length, date_bin(make_interval(mins => l.length), now() - make_interval(secs => ago), 'epoch'::timestamptz),
        u.queue, u.kind, u.completed, u.retried, u.dead, u.cancelled, u.snoozed, u.wait_ms, u.run_ms, u.waits::bigint[], u.runs::bigint[]
    FROM unnest(of_queues, of_kinds, completions, retries, deaths, cancels, snoozes, waited_ms, ran_ms, wait_counts, run_counts)
        AS u (queue, kind, completed, retried, dead, cancelled, snoozed, wait_ms, run_ms, waits, runs),
        (VALUES (1), (10), (60)) AS l (length)
    -- Everywhere in one order, or two processes could wait for each other.
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (length, start, queue, kind) DO UPDATE
    SET completed = m.completed + excluded.completed, retried = m.retried + excluded.retried, dead = m.dead + excluded.dead,
        cancelled = m.cancelled + excluded.cancelled, snoozed = m.snoozed + excluded.snoozed,
        wait_ms = m.wait_ms + excluded.wait_ms, run_ms = m.run_ms + excluded.run_ms,
        waits = ARRAY (
            SELECT coalesce(a.old, 0) + coalesce(a.new, 0)
            FROM unnest(m.waits, excluded.waits) WITH ORDINALITY AS a (old, new, place) ORDER BY a.place
        ),
        runs = ARRAY (
            SELECT coalesce(a.old, 0) + coalesce(a.new, 0)
            FROM unnest(m.runs, excluded.runs) WITH ORDINALITY AS a (old, new, place) ORDER BY a.place
        );
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (15, 3);
