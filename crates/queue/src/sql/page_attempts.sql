-- The attempts of a job that did not simply succeed, newest first. $1 job id  $2, $3 only before the attempt of this
-- number that ended at this time, NULL for all with this number  $4 at most so many.
-- Index: the primary keys, read backwards.
SELECT attempt, outcome, error_class, message, worker_name, claimed_at, started_at, ended_at, next_run_at
FROM haulage.attempts
WHERE job_id = $1::bigint AND (attempt, ended_at) < ($2::int, coalesce($3::timestamptz, 'infinity'))
ORDER BY attempt DESC, ended_at DESC
LIMIT $4::int
