-- Sets the limits of a queue that look_at_queue has locked, all of them anew; NULLs take a limit away. $1 queue
-- $2 jobs at once in the fleet  $3 starts in $4 ms, with $5 at once
WITH limited AS (
    UPDATE haulage.queues
    SET max_running = $2::int, rate_count = $3::int, rate_ms = $4::int, rate_burst = $5::int,
        limited_at = now(), updated_at = now(), full_at = NULL,
        -- What runs now may have been claimed from the line.
        in_line = in_line OR max_running IS NULL
    WHERE name = $1::text
    RETURNING name
)
SELECT haulage.wake(name)::text FROM limited
