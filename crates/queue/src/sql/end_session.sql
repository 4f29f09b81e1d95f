-- Ends a session of the server, if it is still the one that was seen. Returns whether it was there. $1 its process  $2 when it began
SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
FROM pg_stat_activity AS a
WHERE a.pid = $1::int AND a.backend_start = $2::timestamptz
