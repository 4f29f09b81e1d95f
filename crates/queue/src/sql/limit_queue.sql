-- Sets the limits of a queue, all of them anew; NULLs take a limit away. $1 queue  $2 jobs at once in the fleet
-- $3 starts in $4 ms, with $5 at once
-- Locks: the queue's row.
WITH limited AS (
    INSERT INTO haulage.queues AS q (name, max_running, rate_count, rate_ms, rate_burst, limited_at)
    VALUES ($1::text, $2::int, $3::int, $4::int, $5::int, now())
    ON CONFLICT (name) DO UPDATE
    SET max_running = excluded.max_running, rate_count = excluded.rate_count, rate_ms = excluded.rate_ms, rate_burst = excluded.rate_burst,
        limited_at = now(), updated_at = now(), full_at = NULL,
        -- What runs now may have been claimed from the line.
        in_line = q.in_line OR q.max_running IS NULL
    RETURNING name
)
SELECT haulage.wake(name)::text FROM limited
