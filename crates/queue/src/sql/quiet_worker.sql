-- Tells a worker to claim nothing more. One that is quiet already gets the new reason. $1 worker  $2 who  $3 why
-- Locks: the row. Index: primary key.
INSERT INTO haulage.quiet_workers (worker, by, why)
VALUES ($1::bigint, $2::text, $3::text)
ON CONFLICT (worker) DO UPDATE SET
    by = EXCLUDED.by, why = EXCLUDED.why, resumed_at = NULL,
    at = CASE WHEN quiet_workers.resumed_at IS NULL THEN quiet_workers.at ELSE EXCLUDED.at END
