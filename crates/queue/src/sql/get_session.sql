-- This session: its process and when it began, by which another session of ours can end it.
SELECT a.pid, a.backend_start
FROM pg_stat_get_activity(pg_backend_pid()) AS a
