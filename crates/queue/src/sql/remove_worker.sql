-- Takes a worker that stopped in order off the list; one that still has leases is marked dead instead, so that rescue
-- finds them. $1 worker
WITH gone AS (
    DELETE FROM haulage.workers AS w
    WHERE w.id = $1::bigint AND NOT EXISTS (SELECT FROM haulage.leases AS l WHERE l.worker = w.id)
    RETURNING w.id
)
UPDATE haulage.workers
SET dead_at = now()
WHERE id = $1::bigint AND dead_at IS NULL AND NOT EXISTS (SELECT FROM gone)
