-- Which kinds wait in a queue, among the first 2,500 of each of its lines, most first. $1 queue  $2 at most so many kinds.
-- Index: live_jobs_line.
SELECT first.kind, count(*) AS jobs, min(first.eligible_at) AS oldest
FROM generate_series(0, 3) AS p (priority),
LATERAL (
    SELECT j.kind, j.eligible_at
    FROM haulage.live_jobs AS j
    WHERE j.queue = $1::text AND j.priority = p.priority AND j.place = 1 AND j.state = 1
    ORDER BY j.pos
    LIMIT 2500
) AS first
GROUP BY first.kind
ORDER BY count(*) DESC, first.kind
LIMIT $2::int
