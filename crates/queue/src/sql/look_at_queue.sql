-- What was said about a queue. Its row is made if it is missing, and stays locked, so that it is so until the caller changes it. $1 queue
-- Locks: the queue's row.
INSERT INTO haulage.queues AS q (name)
VALUES ($1::text)
ON CONFLICT (name) DO UPDATE SET updated_at = q.updated_at
RETURNING paused_at, paused_until, paused_by, paused_why, max_running, rate_count, rate_ms, rate_burst
