-- What backs off after failures among the first $1 scheduled jobs, by queue and kind, with up to three that failed most often.
-- Index: live_jobs_timed.
SELECT
    t.queue, t.kind, count(*) AS jobs, min(t.run_at) AS run_at, max(t.failures) AS failures, min(t.created_at) AS created_at,
    (array_agg(t.id ORDER BY t.failures DESC, t.id))[1:3] AS ids, max(t.max_attempts) AS max_attempts,
    count(*) FILTER (WHERE t.failures >= $2::int) AS often
FROM (
    SELECT j.id, j.queue, j.kind, j.run_at, j.failures, j.max_attempts, j.created_at
    FROM haulage.live_jobs AS j
    WHERE j.place = 0
    ORDER BY j.run_at
    LIMIT $1::int
) AS t
WHERE t.failures > 0
GROUP BY t.queue, t.kind
ORDER BY jobs DESC
LIMIT 100
