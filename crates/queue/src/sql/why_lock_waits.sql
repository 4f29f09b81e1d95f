-- Sessions that workers of ours, or others at our tables, have waited for longer than $1 seconds for a lock, each with how many wait.
-- Without the role pg_read_all_stats other users' queries stay hidden.
-- Locks: none; pg_blocking_pids() is asked only about sessions that wait.
WITH waiting AS MATERIALIZED (
    SELECT
        a.pid, a.application_name, l.waitstart, l.mode = 'AccessExclusiveLock' AS exclusive,
        CASE WHEN n.nspname = 'haulage' THEN c.relname::text END AS relation
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    LEFT JOIN pg_class AS c ON c.oid = l.relation AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT l.granted AND l.waitstart < clock_timestamp() - make_interval(secs => $1::double precision) AND a.datname = current_database()
      AND (a.application_name LIKE 'haulage %' OR n.nspname = 'haulage')
    LIMIT 200
)
SELECT
    b.pid, b.backend_start, b.application_name, b.usename::text AS usename, b.state, b.xact_start, left(b.query, 200) AS query,
    count(*) AS waiters, count(*) FILTER (WHERE w.application_name LIKE 'haulage %') AS workers, min(w.waitstart) AS since,
    bool_or(w.exclusive) OR bool_or(EXISTS (
        SELECT
        FROM pg_locks AS g
        JOIN pg_class AS t ON t.oid = g.relation
        JOIN pg_namespace AS s ON s.oid = t.relnamespace
        WHERE g.pid = b.pid AND g.granted AND g.mode = 'AccessExclusiveLock' AND s.nspname = 'haulage'
    )) AS exclusive,
    min(w.relation) AS relation
FROM waiting AS w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS x (pid)
JOIN pg_stat_activity AS b ON b.pid = x.pid
WHERE b.pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY waiters DESC
LIMIT 20
