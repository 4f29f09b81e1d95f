-- How many jobs stand before one in the line of its queue that a worker of these kinds would take, and whether one of a higher priority
-- waits that came after it. Stops counting at $6. Rows that somebody has locked are passed, as by a claim.
-- $1 queue  $2 priority  $3 position  $4 kinds  $5 revisions, parallel  $6 at most so many  $7 since when the job could run
-- $8 whether returned jobs count: in a limited queue they have their slots already
-- Index: live_jobs_line, live_jobs_returned.
WITH busy AS MATERIALIZED (
    SELECT array_agg(l.transactionid) AS xids
    FROM pg_locks AS l
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
)
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM unnest('{0,1,2,3}'::smallint[]) AS line (priority),
            LATERAL (
                SELECT
                FROM haulage.live_jobs AS j
                WHERE j.queue = $1::text AND j.priority = line.priority AND j.place = 1
                  AND j.pos < CASE WHEN line.priority < $2::smallint THEN 9223372036854775807 ELSE $3::bigint END
                  AND j.state = 1 AND j.kind = ANY ($4::text[])
                  AND (j.kind_revision = 0 OR j.kind_revision <= ($5::smallint[])[array_position($4::text[], j.kind)])
                  AND (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS NOT TRUE
                ORDER BY j.pos
                LIMIT $6::int
            ) AS before
            WHERE line.priority <= $2::smallint
            LIMIT $6::int
        ) AS counted
    ) + CASE WHEN $8::boolean THEN (
        SELECT count(*)
        FROM (
            SELECT
            FROM haulage.live_jobs AS j
            WHERE j.queue = $1::text AND j.place = 2 AND j.state = 1 AND j.kind = ANY ($4::text[])
            LIMIT $6::int
        ) AS counted
    ) ELSE 0 END AS ahead,
    EXISTS (
        SELECT
        FROM unnest('{0,1,2}'::smallint[]) AS line (priority),
        LATERAL (
            SELECT j.eligible_at, j.kind, j.state
            FROM haulage.live_jobs AS j
            WHERE j.queue = $1::text AND j.priority = line.priority AND j.place = 1
            ORDER BY j.pos DESC
            LIMIT 1
        ) AS last
        WHERE line.priority < $2::smallint AND last.eligible_at > $7::timestamptz AND last.kind = ANY ($4::text[])
    ) AS overtaken
