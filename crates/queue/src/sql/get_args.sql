-- The args of a job, live or finished, as text. $1 id. Index: the primary keys.
SELECT args::text AS args FROM haulage.live_jobs WHERE id = $1::bigint
UNION ALL
SELECT args::text FROM haulage.finished_jobs WHERE id = $1::bigint
LIMIT 1
