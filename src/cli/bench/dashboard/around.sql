-- What stands beside the jobs after weeks of work: workers and what they hold, minutes, errors, the audit, operations, schedules, limits.
-- The workers' leases are a day long, so that they live without heartbeats.
INSERT INTO haulage.workers (
    id, name, version, queues, slots, kinds, revisions, lease_ms, running, started_at, heartbeat_at, clock_offset_ms, listens, heard_at
)
SELECT
    w, 'worker-' || w, '0.1.0', ARRAY (SELECT 'queue-' || to_char(q, 'FM00') FROM generate_series(0, 19) AS q), array_fill(10, ARRAY[20]),
    ARRAY (SELECT 'kind-' || to_char(k, 'FM00') FROM generate_series(0, 39) AS k), array_fill(0::smallint, ARRAY[40]), 86400000, 75,
    now() - interval '3 days', now(), 0, true, now()
FROM generate_series(1, 12) AS w;

INSERT INTO haulage.leases (id, worker, claimed_at, ids)
SELECT lease, lease, min(claimed_at), array_agg(id) FROM haulage.live_jobs WHERE state = 2 GROUP BY lease;

INSERT INTO haulage.progress (job_id, lease, percent, message)
SELECT id, lease, id % 100, 'row ' || id % 1000 FROM haulage.live_jobs WHERE state = 2 AND id % 3 = 0;

INSERT INTO haulage.unique_keys (key, job_id) SELECT unique_key, id FROM haulage.live_jobs WHERE unique_key IS NOT NULL;

INSERT INTO haulage.attempts (
    job_id, attempt, outcome, error_class, message, fingerprint, worker, worker_name, eligible_at, due_at, claimed_at, started_at, ended_at,
    next_run_at, trace_id, span_id
)
SELECT
    j.id, a.number, 'failed', 'PartnerError', 'error ' || j.id % 100000 || ': the partner did not answer within 30 s', j.fingerprint,
    1 + j.id % 12, 'worker-' || 1 + j.id % 12, t.ended, t.ended, t.ended, t.ended, t.ended, j.run_at, j.trace_id, j.span_id + a.number
FROM haulage.live_jobs AS j,
LATERAL generate_series(1, j.failures::int) AS a (number),
LATERAL (SELECT now() - interval '1 minute' * (4 - a.number) AS ended) AS t
WHERE j.failures > 0;

INSERT INTO haulage.minutes (
    length, start, queue, kind, completed, retried, dead, cancelled, snoozed, wait_ms, run_ms, waits, runs
)
SELECT
    l.length, date_bin(make_interval(mins => l.length), now(), 'epoch'::timestamptz) - make_interval(mins => l.length * s),
    'queue-' || to_char(p / 2, 'FM00'), 'kind-' || to_char(p, 'FM00'), 50 + (s * 7 + p) % 40, s % 3, s % 2, s % 5 / 4, 0, 90000, 60000,
    ARRAY[3, 5, 8, 9, 12, 20, 15, 9, 5, 3, 2, 1], ARRAY[1, 2, 3, 5, 9, 14, 20, 16, 9, 6, 3, 2, 1, 1]
FROM (VALUES (1, 360), (10, 432), (60, 2160)) AS l (length, steps),
LATERAL generate_series(0, l.steps) AS s,
generate_series(0, 39) AS p;

INSERT INTO haulage.errors (
    fingerprint, kind, error_class, message, queues, attempts, first_at, last_at, first_version, first_job, last_job
)
SELECT
    left(md5('error ' || e), 16), 'kind-' || to_char(e / 5, 'FM00'), 'PartnerError', 'error 4711: the partner did not answer within 30 s',
    ARRAY['queue-' || to_char(e / 10, 'FM00')], 4000, now() - interval '10 days', now() - make_interval(secs => e * 60), '0.1.0', 50, 100
FROM generate_series(0, 199) AS e;

INSERT INTO haulage.error_hours (fingerprint, hour, attempts)
SELECT left(md5('error ' || e), 16), date_bin('1 hour', now(), 'epoch'::timestamptz) - make_interval(hours => h), 10 + (e + h) % 20
FROM generate_series(0, 199) AS e, generate_series(0, 191) AS h;

INSERT INTO haulage.audit (at, who, verb, target, jobs, reason)
SELECT
    now() - make_interval(mins => 20000 - n), CASE WHEN n % 3 = 0 THEN 'ana' ELSE 'ben' END,
    CASE WHEN n % 5 = 0 THEN 'pause' WHEN n % 5 = 1 THEN 'resume' ELSE 'retry' END,
    CASE WHEN n % 5 < 2 THEN 'queue queue-' || to_char(n % 20, 'FM00') ELSE 'job ' || n END,
    CASE WHEN n % 5 < 2 THEN NULL ELSE ARRAY[n::bigint] END, 'the partner is back'
FROM generate_series(1, 20000) AS n;

INSERT INTO haulage.operations (who, reason, verb, filter, state, up_to, cursor, done, skipped, started_at, stepped_at, ended_at)
SELECT
    'ana', 'after the outage', 'retry', '{"state": "dead", "queue": "queue-01"}', 'done', 1000000, 1000000, 5000, '{"running": 12}',
    now() - make_interval(hours => 201 - n), now() - make_interval(hours => 201 - n), now() - make_interval(hours => 201 - n)
FROM generate_series(1, 200) AS n;

INSERT INTO haulage.schedules (
    name, owner, cron, zone, missed, overlap, jitter_ms, kind, queue, args, priority, max_attempts, next_at, last_at, last_job
)
SELECT
    'schedule-' || to_char(n, 'FM000'), 'shop', '0 * * * *', 'UTC', 1, 0, 0, 'kind-' || to_char(n % 40, 'FM00'),
    'queue-' || to_char(n % 40 / 2, 'FM00'), '{}', 1, 25, date_trunc('hour', now()) + interval '1 hour', date_trunc('hour', now()), n
FROM generate_series(1, 100) AS n;

INSERT INTO haulage.fires (schedule, instant, job_id, fired_at)
SELECT 'schedule-' || to_char(n, 'FM000'), at, n * 100 + h, at
FROM generate_series(1, 100) AS n, generate_series(0, 99) AS h,
LATERAL (SELECT date_trunc('hour', now()) - make_interval(hours => h) AS at) AS t;

INSERT INTO haulage.queues (name, paused_at, paused_by, paused_why) VALUES ('queue-05', now() - interval '1 hour', 'ana', 'the partner is down');
INSERT INTO haulage.queues (name, max_running, limited_at) VALUES ('queue-02', 30, now());
INSERT INTO haulage.queues (name, rate_count, rate_ms, rate_burst, limited_at) VALUES ('queue-04', 10, 1000, 10, now());
INSERT INTO haulage.key_limits (key, max_running, set_by) VALUES ('tenant:*', 2, 'ana');
INSERT INTO haulage.key_limits (key, max_running, set_by) SELECT 'tenant:' || n, 5, 'ana' FROM generate_series(1, 50) AS n;

INSERT INTO haulage.depths (length, queue, start, available, parked, running, at_least)
SELECT
    l.length, CASE WHEN q < 0 THEN '' ELSE 'queue-' || to_char(q, 'FM00') END,
    date_bin(make_interval(mins => l.length), now(), 'epoch'::timestamptz) - make_interval(mins => l.length * s),
    1000 + (s * 7 + q) % 900, 200, 60, false
FROM (VALUES (1, 360), (10, 432), (60, 2160)) AS l (length, steps),
LATERAL generate_series(0, l.steps) AS s,
generate_series(-1, 19) AS q;

SELECT setval('haulage.live_jobs_id_seq', (SELECT max(id) FROM haulage.live_jobs))
