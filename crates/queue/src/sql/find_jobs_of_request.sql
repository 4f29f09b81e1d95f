-- temporary $1 request $2 limit
SELECT id FROM haulage.live_jobs WHERE origin ->> 'request_id' = $1::text UNION ALL SELECT id FROM haulage.finished_jobs WHERE origin ->> 'request_id' = $1::text LIMIT $2::bigint
