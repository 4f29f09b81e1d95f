-- What a job was given: args, priority, tags, meta, lineage, limit key; and while it runs, on which worker, and in which span if that is
-- long. $1 id. Index: the primary keys.
SELECT
    j.args::text AS args, j.priority, j.timeout_ms, j.tags, j.meta::text AS meta, j.parent_id, j.root_id, j.crashes, j.kind_revision,
    j.parked_for, j.origin::text AS origin, j.limit_key, w.name AS worker, s.path AS span_path, s.since AS span_since
FROM haulage.live_jobs AS j
LEFT JOIN haulage.running_spans AS s ON s.job_id = j.id AND j.state = 2 AND s.lease = j.lease
LEFT JOIN haulage.leases AS l ON l.id = j.lease
LEFT JOIN haulage.workers AS w ON w.id = l.worker
WHERE j.id = $1::bigint
UNION ALL
SELECT
    args::text, priority, timeout_ms, tags, meta::text, parent_id, root_id, crashes, kind_revision, NULL::smallint, origin::text,
    limit_key, NULL::text, NULL::text, NULL::timestamptz
FROM haulage.finished_jobs
WHERE id = $1::bigint
LIMIT 1
