-- Puts due jobs into the line in the order of their times, and wakes sleepers on their queues. Always returns one row: how
-- many went, the latest run_at among them, in how many seconds the next one is due (NULL: none is scheduled), the clock, and
-- whether a job waits for its key. A job with a limit key does not go into the line: it waits for its key anew.
-- $1 look only at jobs due after this time: the caller's bound, so that dead index entries are walked once
-- $2 at most so many
-- Locks: the rows it moves, skipping locked ones. Index: live_jobs_timed, then the rows' places in the table.
WITH due AS MATERIALIZED (
    SELECT d.place_in_table, nextval('haulage.job_pos') AS pos
    FROM (
        SELECT ctid AS place_in_table
        FROM haulage.live_jobs
        WHERE place = 0 AND run_at <= now() AND run_at >= $1::timestamptz
        ORDER BY run_at
        LIMIT $2::int
        FOR UPDATE SKIP LOCKED
    ) AS d
),
moved AS (
    UPDATE haulage.live_jobs AS j
    SET pos = due.pos, eligible_at = j.run_at,
        -- A suspect stays one until it succeeds.
        state = CASE WHEN j.crashes >= 2 OR j.limit_key IS NOT NULL THEN 3 ELSE 1 END,
        place = CASE WHEN j.crashes >= 2 OR j.limit_key IS NOT NULL THEN 3 ELSE 1 END,
        parked_for = CASE WHEN j.crashes >= 2 THEN 3 WHEN j.limit_key IS NOT NULL THEN 2 END
    FROM due
    WHERE j.ctid = due.place_in_table
    RETURNING j.queue, j.run_at, j.parked_for
),
woken AS MATERIALIZED (
    SELECT count(haulage.wake(q.queue)::text) AS n FROM (SELECT DISTINCT queue FROM moved) AS q
)
SELECT
    (SELECT count(*) FROM moved) AS moved,
    (SELECT max(run_at) FROM moved) AS reached,
    extract(epoch FROM (
        SELECT run_at FROM haulage.live_jobs WHERE place = 0 AND run_at > now() ORDER BY run_at LIMIT 1
    ) - now())::double precision AS next_s,
    now() AS clock,
    EXISTS (SELECT FROM moved WHERE parked_for = 2) OR EXISTS (SELECT FROM haulage.live_jobs WHERE parked_for = 2) AS waiting
FROM woken
