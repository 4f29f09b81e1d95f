-- Removes the oldest entries of the audit that are older than $1 days, at most $2; returns how many.
-- Locks: the rows it removes. Of two at once the second waits for the first, and finds them gone: to skip locked rows takes the right to
-- UPDATE, which nobody has on the audit. Index: audit_at.
WITH old AS (
    DELETE FROM haulage.audit
    WHERE id = ANY (ARRAY (
        SELECT a.id
        FROM haulage.audit AS a
        WHERE a.at < now() - make_interval(days => $1::int)
        ORDER BY a.at
        LIMIT $2::int
    ))
    RETURNING id
)
SELECT count(*) FROM old
