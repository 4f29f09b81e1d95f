-- Removes acts on many jobs that ended more than $1 days ago, at most $2; returns how many.
-- Locks: the rows it removes, skipping locked ones. Index: operations_ended_at.
WITH old AS (
    DELETE FROM haulage.operations
    WHERE id = ANY (ARRAY (
        SELECT o.id
        FROM haulage.operations AS o
        WHERE o.ended_at < now() - make_interval(days => $1::int)
        ORDER BY o.ended_at
        LIMIT $2::int
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id
)
SELECT count(*) FROM old
