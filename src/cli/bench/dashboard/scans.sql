-- How often tables of jobs were read from end to end, those that have rows.
SELECT coalesce(sum(t.seq_scan), 0)::double precision
FROM pg_stat_user_tables AS t
WHERE t.schemaname = 'haulage' AND t.relname ~ '^(live_jobs|finished_|attempts|attempt_logs)' AND pg_relation_size(t.relid) > 0
