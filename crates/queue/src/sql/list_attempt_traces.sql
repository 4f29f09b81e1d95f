-- The traces that attempts of jobs have of their own, the last ones of each. $1 job ids  $2 at most so many of a job
-- Index: attempt_traces_job, one probe a day and job.
SELECT t.job_id, t.attempt, t.trace_id, t.span_id
FROM unnest($1::bigint[]) AS u (id),
LATERAL (
    SELECT a.job_id, a.attempt, a.trace_id, a.span_id
    FROM haulage.attempt_traces AS a
    WHERE a.job_id = u.id
    ORDER BY a.attempt DESC
    LIMIT $2::bigint
) AS t
