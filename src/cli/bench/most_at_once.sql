-- The most jobs of one key that were claimed and not finished at one instant.
SELECT max(n)::bigint
FROM (
    SELECT sum(step) OVER (PARTITION BY limit_key ORDER BY at, step) AS n
    FROM (
        SELECT limit_key, claimed_at AS at, 1 AS step FROM haulage.finished_jobs
        UNION ALL
        SELECT limit_key, finished_at, -1 FROM haulage.finished_jobs
    ) AS steps
) AS counts
