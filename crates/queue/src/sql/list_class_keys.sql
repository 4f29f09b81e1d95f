-- Keys without a limit of their own that have jobs, with the limit of their class, how many jobs they have let in and how many they hold
-- back, counted to 10,001. Those that hold jobs back come first into the list. $1 at most so many
-- Goes from one key to the next, not job by job, through the first 1,000 that hold jobs back and the first 1,000 that have let some in.
-- Index: live_jobs_waiting, live_jobs_admitted.
WITH RECURSIVE held_back AS (
    (SELECT limit_key FROM haulage.live_jobs WHERE parked_for = 2 ORDER BY limit_key LIMIT 1)
    UNION ALL
    SELECT (SELECT j.limit_key FROM haulage.live_jobs AS j WHERE j.parked_for = 2 AND j.limit_key > k.limit_key ORDER BY j.limit_key LIMIT 1)
    FROM held_back AS k
    WHERE k.limit_key IS NOT NULL
),
let_in AS (
    (
        SELECT limit_key
        FROM haulage.live_jobs
        WHERE limit_key IS NOT NULL AND (place IN (1, 2) OR parked_for = 3)
        ORDER BY limit_key
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT j.limit_key
        FROM haulage.live_jobs AS j
        WHERE j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3) AND j.limit_key > k.limit_key
        ORDER BY j.limit_key
        LIMIT 1
    )
    FROM let_in AS k
    WHERE k.limit_key IS NOT NULL
),
looked AS MATERIALIZED (
    (SELECT limit_key, true AS holds_back FROM held_back WHERE limit_key IS NOT NULL LIMIT 1000)
    UNION ALL
    (SELECT limit_key, false FROM let_in WHERE limit_key IS NOT NULL LIMIT 1000)
),
keys AS MATERIALIZED (
    SELECT k.limit_key AS key, c.key AS class, c.max_running, c.rate_count, c.rate_ms, c.rate_burst, c.set_by, c.updated_at
    FROM (SELECT limit_key, bool_or(holds_back) AS holds_back FROM looked GROUP BY limit_key) AS k
    JOIN haulage.key_limits AS c ON c.key = split_part(k.limit_key, ':', 1) || ':*'
    WHERE k.limit_key LIKE '%:%' AND k.limit_key NOT LIKE 'haulage-%'
      AND NOT EXISTS (SELECT FROM haulage.key_limits AS own WHERE own.key = k.limit_key)
    ORDER BY k.holds_back DESC, k.limit_key
    LIMIT $1::bigint
)
SELECT
    k.key, k.class, k.max_running, k.rate_count, k.rate_ms, k.rate_burst, k.set_by, k.updated_at,
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM haulage.live_jobs AS j
            WHERE j.limit_key = k.key AND j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3)
            LIMIT 10001
        ) AS counted
    ) AS admitted,
    (SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.parked_for = 2 AND j.limit_key = k.key LIMIT 10001) AS counted) AS waiting
FROM keys AS k
ORDER BY k.key
