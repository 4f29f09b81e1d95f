-- Removes depths that are kept no longer, at most $1: minutes after six hours, tens after three days, hours after 90 days; returns
-- how many. Locks: the rows it removes, skipping locked ones. Index: the primary key, all of one length.
WITH old AS (
    DELETE FROM haulage.depths
    WHERE ctid = ANY (ARRAY (
        SELECT o.place_in_table
        FROM (VALUES (1, interval '6 hours'), (10, interval '3 days'), (60, interval '90 days')) AS k (length, time),
        LATERAL (
            SELECT d.ctid AS place_in_table
            FROM haulage.depths AS d
            WHERE d.length = k.length AND d.start < now() - k.time
            LIMIT $1::int
            FOR UPDATE SKIP LOCKED
        ) AS o
        LIMIT $1::int
    ))
    RETURNING length
)
SELECT count(*) FROM old
