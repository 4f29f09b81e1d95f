-- This session, by which another of ours can end it; and ends the one whose connection was given up: what that waits for, or holds, it waits
-- for and holds for nobody. Only if it still goes by our name, because a pooler may have lent it to somebody else since.
-- $1 the other's process, NULL: there is none  $2 when it began
SELECT
    own.pid,
    own.backend_start,
    (
        SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
        FROM pg_stat_activity AS a
        WHERE a.pid = $1::int AND a.backend_start = $2::timestamptz AND a.application_name = current_setting('application_name')
    ) AS ended
FROM pg_stat_get_activity(pg_backend_pid()) AS own
