-- The newest attempts of jobs that did not simply succeed, newest first. $1 jobs  $2 at most so many of each. Index: the primary keys.
SELECT
    a.job_id, a.attempt, a.outcome, a.error_class, a.message, a.eligible_at, a.claimed_at, a.started_at, a.ended_at, a.next_run_at
FROM unnest($1::bigint[]) AS j (id),
LATERAL (
    SELECT
        h.job_id, h.attempt, h.outcome, h.error_class, h.message, h.eligible_at, h.claimed_at, h.started_at, h.ended_at, h.next_run_at
    FROM haulage.attempts AS h
    WHERE h.job_id = j.id
    ORDER BY h.attempt DESC, h.ended_at DESC
    LIMIT $2::int
) AS a
