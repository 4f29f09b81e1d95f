-- The spans of the last attempts of jobs, of those that ended within two days: where later ones link to. $1 ids
-- Index: the primary keys of these days' partitions of attempts.
SELECT u.id, a.trace_id, a.span_id
FROM unnest($1::bigint[]) AS u (id),
LATERAL (
    SELECT p.trace_id, p.span_id
    FROM haulage.attempts AS p
    WHERE p.job_id = u.id AND p.ended_at > now() - interval '2 days'
    ORDER BY p.attempt DESC
    LIMIT 1
) AS a
WHERE a.trace_id IS NOT NULL AND a.span_id IS NOT NULL
