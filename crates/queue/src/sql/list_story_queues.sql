-- How queues stand for the jobs that wait in them: paused, limited, and how many live workers take jobs of this kind and revision.
-- Arrays, parallel: $1 queues  $2 kinds  $3 revisions
-- Index: the primary key of queues; workers are few.
SELECT
    u.queue, u.kind, u.revision, q.paused_at, q.paused_until, q.paused_by, q.paused_why, q.max_running, q.rate_count, q.rate_ms,
    CASE WHEN q.max_running IS NOT NULL OR q.rate_count IS NOT NULL THEN q.limited_at END AS limited_at,
    (
        SELECT count(*)
        FROM haulage.workers AS w
        WHERE w.dead_at IS NULL AND u.queue = ANY (w.queues) AND u.kind = ANY (w.kinds)
          AND (u.revision = 0 OR w.revisions IS NULL OR u.revision <= w.revisions[array_position(w.kinds, u.kind)])
    ) AS workers
FROM unnest($1::text[], $2::text[], $3::smallint[]) AS u (queue, kind, revision)
LEFT JOIN haulage.queues AS q ON q.name = u.queue
