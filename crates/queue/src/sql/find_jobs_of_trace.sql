-- temporary $1 trace $2 limit
SELECT id FROM haulage.live_jobs WHERE trace_id = $1::uuid UNION ALL SELECT id FROM haulage.finished_jobs WHERE trace_id = $1::uuid LIMIT $2::bigint
