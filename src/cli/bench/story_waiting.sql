-- Waiting no-op jobs, $1 of them, each of a trace of its own.
INSERT INTO haulage.live_jobs (kind, queue, args, priority, max_attempts, timeout_ms, trace_id, span_id, trace_flags)
SELECT 'noop', 'default', jsonb_build_object('n', n, 'text', repeat('x', 120)), 1, 25, 900000, md5('trace ' || n)::uuid, n, 0
FROM generate_series(1::bigint, $1::bigint) AS n
