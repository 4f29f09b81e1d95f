-- What operators did to these jobs, alone or among others, oldest first. $1 job ids  $2 at most so many
-- Index: audit_jobs.
SELECT
    a.at, a.who, a.verb, a.reason, a.before ->> 'queue' AS queue_before,
    ARRAY (SELECT j.id FROM unnest(a.jobs) AS j (id) WHERE j.id = ANY ($1::bigint[])) AS jobs
FROM haulage.audit AS a
WHERE a.jobs && $1::bigint[]
ORDER BY a.id
LIMIT $2::bigint
