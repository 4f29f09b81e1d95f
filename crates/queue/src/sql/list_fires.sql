-- The instants that a schedule has come to, newest first. $1 schedule  $2 at most so many. Index: the primary key, read backwards.
SELECT instant, job_id, fired_at
FROM haulage.fires
WHERE schedule = $1::text
ORDER BY instant DESC
LIMIT $2::int
