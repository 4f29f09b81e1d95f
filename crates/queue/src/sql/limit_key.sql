-- Sets the limits of a key that look_at_key_limit has locked, all of them anew. $1 key, or a word and ":*"
-- $2 jobs at once in the fleet  $3 starts in $4 ms, with $5 at once  $6 who
-- With the new updated_at, what was used of a rate before counts no more: see key_rates.limited_at. To delete it would hold up the
-- admissions of the whole fleet for as long as the caller's transaction is open.
WITH limited AS (
    UPDATE haulage.key_limits
    SET max_running = $2::int, rate_count = $3::int, rate_ms = $4::int, rate_burst = $5::int, set_by = $6::text, updated_at = now()
    WHERE key = $1::text
    RETURNING key
)
SELECT haulage.wake_promoter(now())::text FROM limited
