-- Scheduled jobs that have been due for longer than $1 seconds and nobody has put in line: up to 10,001, and the first of them.
-- Index: live_jobs_timed.
SELECT count(*) AS jobs, min(d.run_at) AS run_at, (array_agg(d.id ORDER BY d.run_at))[1] AS id, (array_agg(d.queue ORDER BY d.run_at))[1] AS queue
FROM (
    SELECT j.id, j.run_at, j.queue
    FROM haulage.live_jobs AS j
    WHERE j.place = 0 AND j.run_at < now() - make_interval(secs => $1::double precision)
    ORDER BY j.run_at
    LIMIT 10001
) AS d
