-- Finished jobs numbered from $1 to $2 of $3, spread evenly over ten days and over today so far; the number is the id, so later ones have
-- higher ids. 2 in 100 have died, one was cancelled. Twenty queues, the first far busier than the last, with two kinds each; three jobs a
-- trace, one in four of the traces a family; each trace with a request.
INSERT INTO haulage.finished_jobs (
    id, run_at, eligible_at, created_at, claimed_at, finished_at, lease, worker, parent_id, root_id, trace_id, span_id, timeout_ms, attempt,
    priority, failures, max_attempts, crashes, state, trace_flags, kind_revision, queue, kind, args, tags, limit_key, origin, output, error,
    fingerprint
)
SELECT
    j.n, at.done - j.wait - j.run, at.done - j.wait - j.run, at.done - j.wait - j.run, at.done - j.run, at.done, 1 + j.n % 12, 1 + j.n % 12,
    CASE WHEN j.family AND j.n % 3 > 0 THEN j.n - j.n % 3 END, CASE WHEN j.family AND j.n % 3 > 0 THEN j.n - j.n % 3 END,
    md5('trace ' || j.n / 3)::uuid, j.n, 900000, CASE WHEN j.state = 6 THEN 3 WHEN j.n % 50 = 7 THEN 2 ELSE 1 END,
    j.priority, CASE WHEN j.state = 6 THEN 3 WHEN j.n % 50 = 7 THEN 1 ELSE 0 END, CASE WHEN j.state = 6 THEN 3 ELSE 25 END, 0, j.state, 0, 0,
    'queue-' || to_char(j.queue, 'FM00'), 'kind-' || to_char(j.kind, 'FM00'),
    jsonb_build_object('order', j.n, 'customer', j.n % 100000, 'text', repeat('x', 60)),
    CASE WHEN j.n % 4 = 0 THEN ARRAY['tenant ' || j.n % 5000] END, CASE WHEN j.n % 20 = 0 THEN 'tenant:' || j.n % 2000 END,
    jsonb_build_object('request_id', md5('request ' || j.n / 3), 'route', 'POST /orders/{order}', 'service', 'shop'),
    CASE WHEN j.n % 10 = 3 THEN '{"sent": true}'::jsonb END,
    CASE j.state WHEN 6 THEN 'error ' || j.n % 100000 || ': the partner did not answer within 30 s' WHEN 7 THEN 'no longer wanted' END,
    CASE WHEN j.state = 6 THEN left(md5('error ' || j.kind * 5 + j.n / 50 % 5), 16) END
FROM (
    SELECT
        n, queue, queue * 2 + n % 2 AS kind, n % 12 < 3 AS family,
        CASE WHEN n % 50 = 0 THEN 6 WHEN n % 100 = 1 THEN 7 ELSE 5 END AS state,
        CASE WHEN n % 7 = 0 THEN 0 WHEN n % 11 = 0 THEN 2 WHEN n % 13 = 0 THEN 3 ELSE 1 END AS priority,
        make_interval(secs => n % 97 / 10.0) AS wait, make_interval(secs => n % 89 / 50.0) AS run
    FROM generate_series($1::bigint, $2::bigint) AS n,
    LATERAL (SELECT floor(20 * power(n * 7919 % 1000003 / 1000003.0, 2))::bigint AS queue) AS q
) AS j,
LATERAL (SELECT (j.n - 1) * 11.0 / $3::bigint AS days, (now() AT TIME ZONE 'UTC')::date AS today) AS d,
LATERAL (
    SELECT (d.today - 10 + floor(d.days)::int) AT TIME ZONE 'UTC'
        + (d.days - floor(d.days)) * CASE WHEN d.days < 10 THEN interval '1 day' ELSE now() - d.today AT TIME ZONE 'UTC' END AS done
) AS at
