-- How many unfinished jobs came to each queue lately: of the newest $1 by id. Index: the primary key, backwards.
WITH newest AS MATERIALIZED (
    SELECT j.queue, j.created_at FROM haulage.live_jobs AS j ORDER BY j.id DESC LIMIT $1::int
)
SELECT
    n.queue, count(*) FILTER (WHERE n.created_at > now() - interval '5 minutes') AS arrived,
    (
        SELECT CASE WHEN count(*) < $1::int THEN 300.0 ELSE least(300.0, extract(epoch FROM now() - min(m.created_at))) END
        FROM newest AS m
    )::double precision AS window_s
FROM newest AS n
GROUP BY n.queue
