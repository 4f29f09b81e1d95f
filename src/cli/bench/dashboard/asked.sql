-- What there is to ask for among $1 finished jobs: a trace and a request of the third of the days, a trace of today, an error, an operation.
SELECT
    $1::bigint AS finished,
    replace(md5('trace ' || $1::bigint / 4 / 3), '-', '') AS old_trace, replace(md5('trace ' || ($1::bigint - 30) / 3), '-', '') AS new_trace,
    md5('request ' || $1::bigint / 4 / 3) AS old_request,
    (SELECT j.fingerprint FROM haulage.finished_failed AS j WHERE j.state = 6 ORDER BY j.id DESC LIMIT 1) AS fingerprint,
    (SELECT max(o.id) FROM haulage.operations AS o) AS operation,
    (SELECT (j.finished_at AT TIME ZONE 'UTC')::date FROM haulage.finished_jobs AS j WHERE j.id = $1::bigint / 4) AS day
