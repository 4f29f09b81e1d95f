-- Sessions that have locked a table of ours against everybody, whether somebody waits for it or not. Not the audit, which no claim reads;
-- nor workers of ours, which do so for moments, or an autovacuum, which makes way.
-- Locks: none. Index: none; there are as many rows as locks.
SELECT
    b.pid, b.backend_start, b.application_name, b.usename::text AS usename, b.state, b.xact_start, left(b.query, 200) AS query,
    0::bigint AS waiters, 0::bigint AS workers, coalesce(b.xact_start, now()) AS since, true AS exclusive, min(t.relname::text) AS relation
FROM pg_locks AS l
JOIN pg_class AS t ON t.oid = l.relation
JOIN pg_namespace AS s ON s.oid = t.relnamespace
JOIN pg_stat_activity AS b ON b.pid = l.pid
WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND s.nspname = 'haulage' AND t.relkind IN ('r', 'p') AND t.relname <> 'audit'
  AND coalesce(b.application_name, '') NOT LIKE 'haulage %' AND b.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AND l.pid <> pg_backend_pid()
GROUP BY b.pid, b.backend_start, b.application_name, b.usename, b.state, b.xact_start, b.query
ORDER BY since
LIMIT 20
