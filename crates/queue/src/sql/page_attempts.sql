-- The attempts of a job that did not simply succeed, newest first. $1 job id  $2 only with a number below this  $3 at most so many.
-- Index: the primary keys, read backwards.
SELECT attempt, outcome, error_class, message, worker_name, claimed_at, started_at, ended_at, next_run_at
FROM haulage.attempts
WHERE job_id = $1::bigint AND attempt < $2::int
ORDER BY attempt DESC, ended_at DESC
LIMIT $3::int
