-- Unfinished jobs numbered from $1 to $2, with ids from $3 + 1 on. Of a thousand: 600 in line, 3 that run, 1 returned, 66 that failed and
-- wait for their next try, 134 scheduled, 156 that wait for their key, 21 held, 9 of a kind that no worker knows, 10 in a queue that
-- no worker serves.
INSERT INTO haulage.live_jobs (
    id, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, trace_id, span_id, timeout_ms, attempt, priority, failures,
    state, place, parked_for, trace_flags, queue, kind, args, tags, limit_key, unique_key, origin, fingerprint
)
SELECT
    $3::bigint + j.n, j.run_at, j.run_at, j.created_at, CASE WHEN j.state = 2 THEN now() - make_interval(secs => j.n % 600) END,
    CASE WHEN j.state = 2 THEN 1 + j.n / 1000 % 12 END,
    CASE WHEN j.n % 12 IN (1, 2) THEN $3::bigint + j.n - j.n % 3 END, CASE WHEN j.n % 12 IN (1, 2) THEN $3::bigint + j.n - j.n % 3 END,
    md5('trace ' || ($3::bigint + j.n) / 3)::uuid, $3::bigint + j.n, 900000, j.failures + CASE WHEN j.state = 2 THEN 1 ELSE 0 END, j.priority,
    j.failures, j.state, CASE WHEN j.state = 2 THEN 1 WHEN j.k = 603 THEN 2 ELSE j.state END,
    CASE WHEN j.state = 3 AND j.k < 960 THEN 2 WHEN j.state = 3 THEN 1 END, 0,
    CASE WHEN j.k >= 990 THEN 'unserved' ELSE 'queue-' || to_char(j.queue, 'FM00') END,
    CASE WHEN j.k BETWEEN 981 AND 989 THEN 'kind-of-tomorrow' ELSE 'kind-' || to_char(j.queue * 2 + j.n % 2, 'FM00') END,
    jsonb_build_object('order', j.n, 'customer', j.n % 100000, 'text', repeat('x', 60)),
    CASE WHEN j.n % 4 = 0 THEN ARRAY['tenant ' || j.n % 5000] END, CASE WHEN j.k BETWEEN 804 AND 959 THEN 'tenant:' || j.n % 2000 END,
    CASE WHEN j.n % 20 = 5 THEN md5('unique ' || j.n)::uuid END,
    jsonb_build_object('request_id', md5('request ' || ($3::bigint + j.n) / 3), 'route', 'POST /orders/{order}', 'service', 'shop'),
    CASE WHEN j.failures > 0 THEN left(md5('error ' || (j.queue * 2 + j.n % 2) * 5 + j.n / 50 % 5), 16) END
FROM (
    SELECT
        n, k, queue,
        CASE WHEN n % 7 = 0 THEN 0 WHEN n % 11 = 0 THEN 2 WHEN n % 13 = 0 THEN 3 ELSE 1 END AS priority,
        CASE WHEN k BETWEEN 604 AND 669 THEN 1 + k % 3 ELSE 0 END AS failures,
        CASE WHEN k < 600 THEN 1 WHEN k < 603 THEN 2 WHEN k = 603 THEN 1 WHEN k < 804 THEN 0 WHEN k < 981 THEN 3 ELSE 1 END AS state,
        now() - make_interval(secs => 20000 - n * 20000.0 / greatest($2::bigint, n)) AS created_at,
        CASE
            WHEN k BETWEEN 604 AND 669 THEN now() + make_interval(secs => 60 + n % 7200)
            WHEN k BETWEEN 670 AND 803 THEN now() + make_interval(hours => (1 + n % 700)::int)
            ELSE now() - make_interval(secs => 20000 - n * 20000.0 / greatest($2::bigint, n))
        END AS run_at
    FROM generate_series($1::bigint, $2::bigint) AS n,
    LATERAL (SELECT floor(20 * power(n * 7919 % 1000003 / 1000003.0, 2))::bigint AS queue, n % 1000 AS k) AS q
) AS j
