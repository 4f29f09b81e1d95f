-- In which state these jobs are, those that are there. $1 ids. Index: the primary keys, one probe an id and history partition.
SELECT id, state FROM haulage.live_jobs WHERE id = ANY ($1::bigint[])
UNION ALL
SELECT id, state FROM haulage.finished_jobs WHERE id = ANY ($1::bigint[])
