-- What metrics say about the server: the age of the oldest open transaction that this role may see, and dead rows by table.
SELECT
    extract(epoch FROM now() - (SELECT min(a.xact_start) FROM pg_stat_activity AS a))::double precision AS oldest_s,
    t.relname::text AS name, t.n_dead_tup AS dead
FROM pg_stat_all_tables AS t
WHERE t.schemaname = 'haulage' AND t.relname IN ('live_jobs', 'leases', 'unique_keys', 'workers', 'progress')
ORDER BY t.relname
