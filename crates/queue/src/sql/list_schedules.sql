-- Schedules by name. $1 only the one of this name, NULL all  $2 only names after this one  $3 at most so many, NULL all
-- Index: the primary key.
SELECT
    name, owner, cron, zone, kind, queue,
    CASE missed WHEN 0 THEN 'skip' WHEN 1 THEN 'one' ELSE 'all within ' || make_interval(secs => missed_for_s) END AS missed,
    CASE overlap WHEN 0 THEN 'allow' WHEN 1 THEN 'skip' ELSE 'queue one' END AS overlap,
    nullif(next_at, 'infinity') AS next_at, last_at, last_job, paused_at, paused_until, paused_by, paused_why, now() AS clock
FROM haulage.schedules
WHERE ($1::text IS NULL OR name = $1::text) AND name > $2::text
ORDER BY name
LIMIT $3::int
