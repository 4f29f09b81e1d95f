-- Completed no-op jobs numbered from $1 to $2, in turn over the last seven days, today among them.
INSERT INTO haulage.finished_completed (
    id, run_at, eligible_at, created_at, claimed_at, finished_at, lease, worker, timeout_ms, attempt, priority, failures, max_attempts,
    crashes, state, kind_revision, queue, kind, args
)
SELECT
    nextval('haulage.live_jobs_id_seq'), t.at, t.at, t.at, t.at, t.at, 1, 1, 900000, 1, 1, 0, 25,
    0, 5, 0, 'default', 'noop', jsonb_build_object('n', n, 'text', repeat('x', 120))
FROM generate_series($1::bigint, $2::bigint) AS n,
LATERAL (SELECT now() - make_interval(days => (n % 7)::int) AS at) AS t
