-- The session that holds the oldest snapshot, the dead rows of the job table, and how many connections of how many are in use.
-- Without the role pg_read_all_stats other users' sessions show little.
SELECT
    (
        SELECT coalesce(sum(t.n_dead_tup), 0)::bigint FROM pg_stat_all_tables AS t WHERE t.schemaname = 'haulage' AND t.relname = 'live_jobs'
    ) AS dead,
    (SELECT coalesce(sum(d.numbackends), 0)::bigint FROM pg_stat_database AS d) AS connections,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
    s.pid, s.backend_start, s.application_name, s.usename, s.state, s.xact_start, s.query
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT
        a.pid, a.backend_start, a.application_name, a.usename::text AS usename, a.state, a.xact_start, left(a.query, 200) AS query
    FROM pg_stat_activity AS a
    WHERE a.xact_start IS NOT NULL AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
      AND a.backend_type = 'client backend' AND a.datname = current_database()
    ORDER BY a.xact_start
    LIMIT 1
) AS s ON true
