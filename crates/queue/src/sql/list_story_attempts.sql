-- What a story tells of attempts that did not simply succeed: of each job the last ones. $1 job ids  $2 at most so many of a job
-- $3 none ended before this time: the first of the jobs was enqueued then. Of a lost worker also when it was heard last, while its row is there
-- Index: the primary keys of these days' partitions of attempts; that of workers.
SELECT
    a.job_id, a.attempt, a.outcome, a.error_class, a.message, a.worker_name, a.due_at, a.eligible_at, a.claimed_at, a.started_at, a.ended_at,
    a.next_run_at, a.trace_id, a.span_id,
    CASE WHEN a.outcome = 'worker lost' THEN (SELECT w.heartbeat_at FROM haulage.workers AS w WHERE w.id = a.worker) END AS beat_at
FROM unnest($1::bigint[]) AS u (id),
LATERAL (
    SELECT
        t.job_id, t.attempt, t.outcome, t.error_class, t.message, t.worker, t.worker_name, t.due_at, t.eligible_at, t.claimed_at, t.started_at, t.ended_at,
        t.next_run_at, t.trace_id, t.span_id
    FROM haulage.attempts AS t
    WHERE t.job_id = u.id AND t.ended_at >= $3::timestamptz
    ORDER BY t.attempt DESC, t.ended_at DESC
    LIMIT $2::bigint
) AS a
ORDER BY a.job_id, a.attempt, a.ended_at
