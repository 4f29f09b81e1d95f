-- How many workers are known, and how many of them live. Index: none; there are as many rows as processes.
SELECT
    count(*) AS known,
    count(*) FILTER (WHERE dead_at IS NULL AND heartbeat_at >= now() - make_interval(secs => lease_ms / 1000.0)) AS alive
FROM haulage.workers
