-- Sets the limits of a key, all of them anew. $1 key, or a word and ":*"  $2 jobs at once in the fleet  $3 starts in $4 ms, with $5 at
-- once  $6 who
-- Locks: the limit's row.
WITH limited AS (
    INSERT INTO haulage.key_limits (key, max_running, rate_count, rate_ms, rate_burst, set_by)
    VALUES ($1::text, $2::int, $3::int, $4::int, $5::int, $6::text)
    ON CONFLICT (key) DO UPDATE
    SET max_running = excluded.max_running, rate_count = excluded.rate_count, rate_ms = excluded.rate_ms, rate_burst = excluded.rate_burst,
        set_by = excluded.set_by, updated_at = now()
    RETURNING key
)
SELECT haulage.wake_promoter(now())::text FROM limited
