-- How late in ms each instant was claimed that came until $1; one that nobody has fired or claimed is late until then.
SELECT extract(epoch FROM coalesce(least(j.claimed_at, $1), $1) - f.instant)::double precision * 1000
FROM haulage.fires AS f
LEFT JOIN haulage.jobs AS j ON j.id = f.job_id
WHERE f.instant <= $1
UNION ALL
SELECT extract(epoch FROM $1 - next_at)::double precision * 1000
FROM haulage.schedules
WHERE next_at <= $1
