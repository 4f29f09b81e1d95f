-- Removes requests that were answered more than a day ago, at most $1; returns how many.
-- Locks: the rows it removes, skipping locked ones. Index: requests_answered_at.
WITH old AS (
    DELETE FROM haulage.requests
    WHERE (who, key) IN (
        SELECT r.who, r.key
        FROM haulage.requests AS r
        WHERE r.answered_at < now() - interval '1 day'
        ORDER BY r.answered_at
        LIMIT $1::int
        FOR UPDATE SKIP LOCKED
    )
    RETURNING key
)
SELECT count(*) FROM old
