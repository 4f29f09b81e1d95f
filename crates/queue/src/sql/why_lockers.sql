-- One of the sessions that have locked a job's row together. $1 id. An error where the row's xmax is a plain transaction.
-- Index: the primary key.
SELECT
    a.pid, a.backend_start, a.application_name, a.usename::text AS usename, a.state, a.xact_start, left(a.query, 200) AS query
FROM haulage.live_jobs AS j
CROSS JOIN LATERAL pg_get_multixact_members(j.xmax) AS m
JOIN pg_locks AS l ON l.locktype = 'transactionid' AND l.transactionid = m.xid AND l.mode = 'ExclusiveLock' AND l.granted
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE j.id = $1::bigint AND a.pid <> pg_backend_pid() AND a.application_name NOT LIKE 'haulage %'
ORDER BY a.xact_start
LIMIT 1
