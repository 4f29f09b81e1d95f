-- Who held a job last, when and why. $1 id. Index: audit_jobs.
SELECT a.who, a.at, a.reason
FROM haulage.audit AS a
WHERE a.jobs @> ARRAY[$1::bigint] AND a.verb = 'hold'
ORDER BY a.id DESC
LIMIT 1
