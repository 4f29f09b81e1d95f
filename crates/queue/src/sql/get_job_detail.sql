-- What a job was given: args, priority, tags, meta, lineage. $1 id. Index: the primary keys.
SELECT args::text AS args, priority, timeout_ms, tags, meta::text AS meta, parent_id, root_id, crashes, kind_revision, parked_for, origin::text AS origin
FROM haulage.live_jobs
WHERE id = $1::bigint
UNION ALL
SELECT args::text, priority, timeout_ms, tags, meta::text, parent_id, root_id, crashes, kind_revision, NULL::smallint, origin::text
FROM haulage.finished_jobs
WHERE id = $1::bigint
LIMIT 1
