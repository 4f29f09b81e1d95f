-- Jobs, newest id first, live and finished; those that are retried with the error of their last attempt.
-- $1 state code or NULL  $2 queue or NULL  $3 kind or NULL  $4 ids below this  $5 at most so many
-- Index: the primary keys, read backwards.
SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, finished_at,
    coalesce(error, CASE WHEN state <= 3 AND (failures > 0 OR crashes > 0) THEN (
        SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = both_parts.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1
    ) END) AS error
FROM (
    (
        SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at,
            NULL::timestamptz AS finished_at, crashes, NULL::text AS error
        FROM haulage.live_jobs
        WHERE coalesce($1::smallint, 0) <= 3 AND ($1::smallint IS NULL OR state = $1)
          AND ($2::text IS NULL OR queue = $2) AND ($3::text IS NULL OR kind = $3) AND id < $4::bigint
        ORDER BY id DESC
        LIMIT $5::int
    )
    UNION ALL
    (
        SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, finished_at, crashes, error
        FROM haulage.finished_jobs
        WHERE coalesce($1::smallint, 5) >= 5 AND ($1::smallint IS NULL OR state = $1)
          AND ($2::text IS NULL OR queue = $2) AND ($3::text IS NULL OR kind = $3) AND id < $4::bigint
        ORDER BY id DESC
        LIMIT $5::int
    )
) AS both_parts
ORDER BY id DESC
LIMIT $5::int
