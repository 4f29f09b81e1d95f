-- The limits of keys, by key; of a single key also how many jobs it has let in and holds back, counted to 10,001.
-- $1 at most so many, NULL for all
-- Index: live_jobs_admitted, live_jobs_waiting.
SELECT
    l.key, l.max_running, l.rate_count, l.rate_ms, l.rate_burst, l.set_by, l.updated_at,
    CASE WHEN l.key NOT LIKE '%:*' THEN (
        SELECT count(*)
        FROM (
            SELECT
            FROM haulage.live_jobs AS j
            WHERE j.limit_key = l.key AND j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3)
            LIMIT 10001
        ) AS counted
    ) END AS admitted,
    CASE WHEN l.key NOT LIKE '%:*' THEN (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.parked_for = 2 AND j.limit_key = l.key LIMIT 10001) AS counted
    ) END AS waiting
FROM (
    SELECT k.key, k.max_running, k.rate_count, k.rate_ms, k.rate_burst, k.set_by, k.updated_at
    FROM haulage.key_limits AS k
    WHERE k.key NOT LIKE 'haulage-%'
    ORDER BY k.key
    LIMIT $1::bigint
) AS l
ORDER BY l.key
