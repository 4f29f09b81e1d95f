-- How long jobs usually run, and how many ended and were claimed lately, by queue and kind: of the newest $1 finished jobs.
-- Index: the primary keys of the history, backwards.
WITH newest AS MATERIALIZED (
    SELECT f.queue, f.kind, f.state, f.priority, f.created_at, f.claimed_at, f.finished_at
    FROM haulage.finished_jobs AS f
    ORDER BY f.id DESC
    LIMIT $1::int
)
SELECT
    n.queue, n.kind, count(*) AS jobs,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM n.finished_at - n.claimed_at)::double precision)
        FILTER (WHERE n.state = 5 AND n.claimed_at IS NOT NULL) AS p50_s,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM n.finished_at - n.claimed_at)::double precision)
        FILTER (WHERE n.state = 5 AND n.claimed_at IS NOT NULL) AS p95_s,
    count(*) FILTER (WHERE n.finished_at > now() - interval '5 minutes') AS done,
    count(*) FILTER (WHERE n.created_at > now() - interval '5 minutes') AS arrived,
    ARRAY[
        max(n.claimed_at) FILTER (WHERE n.priority = 0), max(n.claimed_at) FILTER (WHERE n.priority = 1),
        max(n.claimed_at) FILTER (WHERE n.priority = 2), max(n.claimed_at) FILTER (WHERE n.priority = 3)
    ] AS last_claim_of,
    max(n.claimed_at) AS last_claim, max(n.finished_at) AS last_end,
    (
        SELECT CASE WHEN count(*) < $1::int THEN 300.0 ELSE least(300.0, extract(epoch FROM now() - min(m.finished_at))) END
        FROM newest AS m
    )::double precision AS window_s
FROM newest AS n
GROUP BY n.queue, n.kind
