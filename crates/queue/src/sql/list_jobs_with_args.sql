-- Jobs for a test to look at, live and finished, oldest id first: all of some kinds, then, for the message of an assertion that
-- fails, the first 20 of the others. A test's database is small: this reads every row.
-- $1 kinds
SELECT
    ours, id, kind, queue, state, priority, attempt, failures, max_attempts, run_at, created_at, finished_at, args, tags, meta, output,
    coalesce(error, (
        SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = numbered.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1
    )) AS error
FROM (
    SELECT
        ours, id, kind, queue, state, priority, attempt, failures, max_attempts, run_at, created_at, finished_at, args, tags, meta, output,
        error, row_number() OVER (PARTITION BY ours ORDER BY id) AS place
    FROM (
        SELECT
            kind = ANY ($1::text[]) AS ours, id, kind, queue, state, priority, attempt, failures, max_attempts, run_at, created_at,
            NULL::timestamptz AS finished_at, args::text AS args, tags, meta::text AS meta, NULL::text AS output, NULL::text AS error
        FROM haulage.live_jobs
        UNION ALL
        SELECT
            kind = ANY ($1::text[]), id, kind, queue, state, priority, attempt, failures, max_attempts, run_at, created_at,
            finished_at, args::text, tags, meta::text, output::text, error
        FROM haulage.finished_jobs
    ) AS both_parts
) AS numbered
WHERE ours OR place <= 20
ORDER BY ours DESC, id
