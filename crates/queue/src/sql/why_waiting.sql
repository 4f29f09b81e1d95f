-- Of each of these keys the first waiting jobs, by queue, kind and revision. $1 keys  $2 how many are looked at of each
-- Index: live_jobs_waiting.
SELECT
    k.key, w.queue, w.kind, w.kind_revision, count(*) AS jobs, min(w.priority) AS priority, min(w.eligible_at) AS eligible_at,
    min(w.id) AS id, min(w.pos) AS pos, min(w.created_at) AS created_at
FROM unnest($1::text[]) AS k (key),
LATERAL (
    SELECT j.id, j.queue, j.kind, j.kind_revision, j.priority, j.pos, j.eligible_at, j.created_at
    FROM haulage.live_jobs AS j
    WHERE j.parked_for = 2 AND j.limit_key = k.key
    ORDER BY j.priority, j.pos
    LIMIT $2::int
) AS w
GROUP BY 1, 2, 3, 4
