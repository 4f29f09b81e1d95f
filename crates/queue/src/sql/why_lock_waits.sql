-- Sessions that workers of ours, or others at our tables, have waited for longer than $1 seconds for a lock, each with how many wait,
-- directly or behind others. Only who waits for nothing itself: whoever stands in the queue of a lock blocks those behind it too, and is a
-- victim as they are.
-- Without the role pg_read_all_stats other users' queries stay hidden.
-- Locks: none; pg_blocking_pids() is asked only about sessions that wait.
WITH RECURSIVE ungranted AS MATERIALIZED (
    SELECT
        l.pid, a.application_name, l.waitstart, coalesce(n.nspname = 'haulage', false) AS ours
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    LEFT JOIN pg_class AS c ON c.oid = l.relation AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT l.granted AND a.datname = current_database()
    ORDER BY l.waitstart
    LIMIT 200
),
edges AS MATERIALIZED (
    SELECT u.pid, x.blocker FROM ungranted AS u, unnest(pg_blocking_pids(u.pid)) AS x (blocker)
),
chains AS (
    SELECT u.pid, e.blocker
    FROM ungranted AS u
    JOIN edges AS e ON e.pid = u.pid
    WHERE u.waitstart < clock_timestamp() - make_interval(secs => $1::double precision) AND (u.application_name LIKE 'haulage %' OR u.ours)
    UNION
    SELECT c.pid, e.blocker FROM chains AS c JOIN edges AS e ON e.pid = c.blocker
),
exclusive AS (
    SELECT g.pid, min(t.relname::text) AS relation
    FROM pg_locks AS g
    JOIN pg_class AS t ON t.oid = g.relation
    JOIN pg_namespace AS s ON s.oid = t.relnamespace
    WHERE g.granted AND g.mode = 'AccessExclusiveLock' AND s.nspname = 'haulage' AND t.relkind IN ('r', 'p')
      AND g.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    GROUP BY g.pid
)
SELECT
    b.pid, b.backend_start, b.application_name, b.usename::text AS usename, b.state, b.xact_start, left(b.query, 200) AS query,
    count(*) AS waiters, count(*) FILTER (WHERE u.application_name LIKE 'haulage %') AS workers, min(u.waitstart) AS since,
    e.pid IS NOT NULL AS exclusive, e.relation
FROM chains AS c
JOIN ungranted AS u ON u.pid = c.pid
JOIN pg_stat_activity AS b ON b.pid = c.blocker
LEFT JOIN exclusive AS e ON e.pid = b.pid
WHERE b.pid <> pg_backend_pid() AND NOT EXISTS (SELECT FROM pg_locks AS w WHERE w.pid = b.pid AND NOT w.granted)
GROUP BY 1, 2, 3, 4, 5, 6, 7, e.pid, e.relation
ORDER BY waiters DESC
LIMIT 20
