-- Ends a session whose connection was given up: what it waits for, or holds, it waits for and holds for nobody. Returns whether it was
-- there. Only if it still goes by our name, because a pooler may have lent it to somebody else since.
-- $1 its process  $2 when it began
SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
FROM pg_stat_activity AS a
WHERE a.pid = $1::int AND a.backend_start = $2::timestamptz AND a.application_name = current_setting('application_name')
