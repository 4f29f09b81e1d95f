-- Takes the limits of a key away; returns what they were, no row if it had none. $1 key, or a word and ":*"
-- Locks: the limit's row.
WITH unlimited AS (
    DELETE FROM haulage.key_limits WHERE key = $1::text RETURNING max_running, rate_count, rate_ms, rate_burst
)
SELECT max_running, rate_count, rate_ms, rate_burst, haulage.wake_promoter(now())::text AS woken FROM unlimited
