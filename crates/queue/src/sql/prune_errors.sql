-- Removes errors that were last seen more than $1 days ago, and hours that are more than eight days past, at most $2 of each; returns how
-- many. Locks: the rows it removes, skipping locked ones. Index: errors_last, error_hours_hour.
WITH old AS (
    DELETE FROM haulage.errors
    WHERE ctid = ANY (ARRAY (
        SELECT e.ctid
        FROM haulage.errors AS e
        WHERE e.last_at < now() - make_interval(days => $1::int)
        ORDER BY e.last_at
        LIMIT $2::int
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING fingerprint
),
hours AS (
    DELETE FROM haulage.error_hours
    WHERE ctid = ANY (ARRAY (
        SELECT h.ctid
        FROM haulage.error_hours AS h
        WHERE h.hour < now() - interval '8 days'
        ORDER BY h.hour
        LIMIT $2::int
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING fingerprint
)
SELECT (SELECT count(*) FROM old) + (SELECT count(*) FROM hours)
