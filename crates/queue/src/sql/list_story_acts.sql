-- What operators did last to these jobs, alone or among others, oldest first. $1 job ids  $2 at most so many
-- Index: audit_jobs. Found first and put in order then: for the last thousand by id the planner would read the audit from its end.
WITH found AS MATERIALIZED (
    SELECT a.id, a.at, a.who, a.verb, a.reason, a.before, a.jobs
    FROM haulage.audit AS a
    WHERE a.jobs && $1::bigint[]
),
newest AS (
    SELECT id, at, who, verb, reason, before, jobs FROM found ORDER BY id DESC LIMIT $2::bigint
)
SELECT
    f.at, f.who, f.verb, f.reason, f.before ->> 'queue' AS queue_before,
    ARRAY (SELECT j.id FROM unnest(f.jobs) AS j (id) WHERE j.id = ANY ($1::bigint[])) AS jobs
FROM newest AS f
ORDER BY f.id
