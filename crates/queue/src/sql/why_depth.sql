-- How many jobs stand in the lines of these queues, running ones not counted: up to 10,001 each. $1 queues
-- Index: live_jobs_line, live_jobs_returned.
SELECT
    q.name,
    (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.place = 1 AND j.state = 1 LIMIT 10001) AS counted
    ) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.place = 2 AND j.state = 1 LIMIT 10001) AS counted
    ) AS jobs
FROM unnest($1::text[]) AS q (name)
