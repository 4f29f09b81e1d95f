-- The row of one no-op job and nothing else. $1 args, JSON text
INSERT INTO haulage.live_jobs (kind, queue, args, priority, max_attempts, timeout_ms)
VALUES ('noop', 'default', $1::text::jsonb, 1, 25, 900000)
RETURNING id
