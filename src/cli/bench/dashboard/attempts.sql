-- What the finished jobs numbered from $1 to $2 failed with before they ended: three attempts of each that died, one of each fiftieth that
-- completed; and what they logged.
WITH failed AS (
    INSERT INTO haulage.attempts (
        job_id, attempt, outcome, error_class, message, fingerprint, worker, worker_name, eligible_at, due_at, claimed_at, started_at, ended_at,
        next_run_at, trace_id, span_id
    )
    SELECT
        j.id, a.number, 'failed', 'PartnerError', 'error ' || j.id % 100000 || ': the partner did not answer within 30 s',
        coalesce(j.fingerprint, left(md5('error ' || right(j.kind, 2)::int * 5), 16)), j.worker, 'worker-' || j.worker, t.ended - interval '2 seconds',
        t.ended - interval '2 seconds', t.ended - interval '1 second', t.ended - interval '1 second', t.ended,
        CASE WHEN a.number < j.attempt THEN t.ended + interval '15 seconds' END, j.trace_id, j.span_id + a.number
    FROM haulage.finished_jobs AS j,
    LATERAL generate_series(1, j.failures::int) AS a (number),
    LATERAL (SELECT j.finished_at - interval '20 seconds' * (j.attempt - a.number) AS ended) AS t
    WHERE j.id BETWEEN $1::bigint AND $2::bigint AND j.failures > 0
    RETURNING job_id, attempt, ended_at
)
INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, written_at, earlier, lines)
SELECT
    f.job_id, f.attempt, f.ended_at, f.ended_at, 0,
    jsonb_build_array(jsonb_build_object(
        'before_us', 1000, 'level', 'WARN', 'target', 'shop::partner', 'message', 'the partner is slow', 'fields', '{}'::jsonb
    ))
FROM failed AS f
