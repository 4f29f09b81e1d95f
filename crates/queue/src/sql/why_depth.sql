-- How many jobs stand in the lines of these queues: up to 10,001 in each of two places. $1 queues
-- Running ones are counted too: whether they run stands in no index, and a count of index entries is several times as quick.
-- Index: live_jobs_line, live_jobs_returned, and no row where the table is vacuumed.
SELECT
    q.name,
    (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.place = 1 LIMIT 10001) AS counted
    ) + (
        SELECT count(*)
        FROM (SELECT FROM haulage.live_jobs AS j WHERE j.queue = q.name AND j.place = 2 LIMIT 10001) AS counted
    ) AS jobs
FROM unnest($1::text[]) AS q (name)
