-- The jobs that descend from these, themselves not. $1 ids of first jobs  $2 at most so many of each, live and of each day
-- Index: live_jobs_root, finished_jobs_root; one probe a job and history partition.
SELECT j.id
FROM unnest($1::bigint[]) AS r (id),
LATERAL (
    (SELECT l.id FROM haulage.live_jobs AS l WHERE l.root_id = r.id LIMIT $2::bigint)
    UNION ALL
    (SELECT f.id FROM haulage.finished_jobs AS f WHERE f.root_id = r.id LIMIT $2::bigint)
) AS j
ORDER BY j.id
