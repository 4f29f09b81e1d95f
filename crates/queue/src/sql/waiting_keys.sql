-- Keys for which a job waits, in order: from one to the next in the index, not job by job. $1 after this one  $2 at most so many
-- Index: live_jobs_waiting.
WITH RECURSIVE keys AS (
    (SELECT limit_key FROM haulage.live_jobs WHERE parked_for = 2 AND limit_key > $1::text ORDER BY limit_key LIMIT 1)
    UNION ALL
    SELECT (SELECT j.limit_key FROM haulage.live_jobs AS j WHERE j.parked_for = 2 AND j.limit_key > k.limit_key ORDER BY j.limit_key LIMIT 1)
    FROM keys AS k
    WHERE k.limit_key IS NOT NULL
)
SELECT limit_key FROM keys WHERE limit_key IS NOT NULL LIMIT $2::int
