-- The rows of a batch of no-op jobs and nothing else. $1 args, JSON texts
INSERT INTO haulage.live_jobs (kind, queue, args, priority, max_attempts, timeout_ms)
SELECT 'noop', 'default', a::jsonb, 1, 25, 900000 FROM unnest($1::text[]) AS a
RETURNING id
