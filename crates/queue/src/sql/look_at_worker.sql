-- What somebody has said about a worker; no row when it is not known, or dead. $1 worker. Locks: none. Index: primary keys.
SELECT w.name, q.at, q.by, q.why
FROM haulage.workers AS w
LEFT JOIN haulage.quiet_workers AS q ON q.worker = w.id AND q.resumed_at IS NULL
WHERE w.id = $1::bigint AND w.dead_at IS NULL
