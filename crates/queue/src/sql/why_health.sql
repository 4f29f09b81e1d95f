-- How the workers are, and whether the history has partitions for today and tomorrow (UTC). Index: none.
SELECT
    clock_timestamp() AS clock, count(*) AS alive, count(*) FILTER (WHERE w.listens) AS listen,
    count(*) FILTER (WHERE NOT w.listens) AS poll, max(abs(w.clock_offset_ms))::bigint AS clock_off_ms,
    to_regclass('haulage.finished_completed_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NOT NULL AS today,
    to_regclass('haulage.finished_completed_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD')) IS NOT NULL AS tomorrow,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_sessions
FROM haulage.workers AS w
WHERE w.dead_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => w.lease_ms / 1000.0)
