-- Takes the limits of a key away; returns a row if it had any. $1 key, or a word and ":*"
-- Locks: the limit's row.
WITH unlimited AS (
    DELETE FROM haulage.key_limits WHERE key = $1::text RETURNING key
)
SELECT haulage.wake_promoter(now())::text FROM unlimited
