-- The session that has locked a job's row alone, if it still runs and is no worker of ours. $1 id
-- Takes no lock, so it never disturbs a claim. Locked by several, xmax is a number of another kind: see why_lockers.sql.
-- Index: the primary key.
SELECT
    a.pid, a.backend_start, a.application_name, a.usename::text AS usename, a.state, a.xact_start, left(a.query, 200) AS query
FROM haulage.live_jobs AS j
JOIN pg_locks AS l ON l.locktype = 'transactionid' AND l.transactionid = j.xmax AND l.mode = 'ExclusiveLock' AND l.granted
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE j.id = $1::bigint AND a.pid <> pg_backend_pid() AND a.application_name NOT LIKE 'haulage %'
LIMIT 1
