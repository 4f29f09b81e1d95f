-- Completed jobs numbered from $1 to $2, in turn over ten days that have been over for an hour at least, three a trace, each with a request of its own.
INSERT INTO haulage.finished_completed (
    id, run_at, eligible_at, created_at, claimed_at, finished_at, lease, worker, trace_id, span_id, timeout_ms, attempt, priority, failures,
    max_attempts, crashes, state, trace_flags, kind_revision, queue, kind, args, tags, origin
)
SELECT
    nextval('haulage.live_jobs_id_seq'), t.at, t.at, t.at, t.at, t.at, 1, 1, md5('trace ' || n / 30 * 10 + n % 10)::uuid, n, 900000, 1, 1, 0,
    25, 0, 5, 0, 0, 'default', 'kind ' || n % 50, jsonb_build_object('order', n, 'text', repeat('x', 120)), ARRAY['tenant ' || n % 5000],
    jsonb_build_object('request_id', md5('request ' || n), 'route', 'POST /orders/{order}', 'service', 'shop', 'version', '1.0.0')
FROM generate_series($1::bigint, $2::bigint) AS n,
LATERAL (SELECT ((now() AT TIME ZONE 'UTC')::date - 2 - (n % 10)::int) AT TIME ZONE 'UTC' + interval '12 hours' AS at) AS t
