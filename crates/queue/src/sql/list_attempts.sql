-- The attempts of a job that did not simply succeed, oldest first, at most 1,000. $1 job id. Index: the primary keys.
SELECT attempt, outcome, error_class, message, worker_name, claimed_at, started_at, ended_at, next_run_at
FROM haulage.attempts
WHERE job_id = $1::bigint
ORDER BY attempt, ended_at
LIMIT 1000
