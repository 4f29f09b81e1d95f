-- Waiting no-op jobs numbered from $1 to $2.
INSERT INTO haulage.live_jobs (kind, queue, args, priority, max_attempts, timeout_ms)
SELECT 'noop', 'default', jsonb_build_object('n', n, 'text', repeat('x', 120)), 1, 25, 900000
FROM generate_series($1::bigint, $2::bigint) AS n
