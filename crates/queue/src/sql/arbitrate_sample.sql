-- Whether this session is the one that samples the fleet for its metrics. It stays the one for as long as it lives and wants to.
-- $1 whether it wants to be
-- Locks: an advisory one of the session.
SELECT CASE
    WHEN held AND wanted THEN true
    WHEN held THEN NOT pg_advisory_unlock(1751217520, 0)
    WHEN wanted THEN pg_try_advisory_lock(1751217520, 0)
    ELSE false
END
FROM (
    SELECT
        $1::boolean AS wanted,
        EXISTS (
            SELECT FROM pg_locks AS l
            WHERE l.locktype = 'advisory' AND l.classid = 1751217520 AND l.pid = pg_backend_pid() AND l.granted
              AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        ) AS held
    OFFSET 0
) AS now
