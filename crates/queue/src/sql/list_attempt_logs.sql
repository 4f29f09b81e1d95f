-- The log tails of the newest 200 attempts of jobs that have one, by job and attempt. $1 job ids. Index: the primary keys, one probe a
-- job and day.
SELECT job_id, attempt, ended_at, written_at, earlier, lines::text AS lines
FROM (
    SELECT job_id, attempt, ended_at, written_at, earlier, lines
    FROM haulage.attempt_logs
    WHERE job_id = ANY ($1::bigint[])
    ORDER BY ended_at DESC
    LIMIT 200
) AS newest
ORDER BY job_id, attempt, ended_at
