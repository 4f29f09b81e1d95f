-- What died in the last hour of its last attempt, by queue, kind and class of error: of the newest $1. What a person discarded has no
-- attempt that ended then.
-- Index: finished_failed_state; the primary key of the attempts, which are written with the same time.
SELECT
    d.queue, d.kind, coalesce(a.error_class, '') AS error_class, count(*) AS jobs, min(d.finished_at) AS first_at,
    max(d.finished_at) AS last_at, (array_agg(d.id ORDER BY d.finished_at DESC))[1] AS id,
    left((array_agg(d.error ORDER BY d.finished_at DESC))[1], 300) AS error, bool_or(d.crashes >= 3) AS quarantined
FROM (
    SELECT f.id, f.queue, f.kind, f.attempt, f.finished_at, f.error, f.crashes
    FROM haulage.finished_failed AS f
    WHERE f.state = 6 AND f.finished_at > now() - interval '1 hour'
    ORDER BY f.finished_at DESC
    LIMIT $1::int
) AS d
CROSS JOIN LATERAL (
    SELECT h.error_class
    FROM haulage.attempts AS h
    WHERE h.job_id = d.id AND h.attempt = d.attempt AND h.ended_at = d.finished_at
    LIMIT 1
) AS a
GROUP BY 1, 2, 3
ORDER BY jobs DESC
LIMIT 50
