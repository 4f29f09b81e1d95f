-- The row of one no-op job, and a notification. $1 args, JSON text
WITH stored AS (
    INSERT INTO haulage.live_jobs (kind, queue, args, priority, max_attempts, timeout_ms)
    VALUES ('noop', 'default', $1::text::jsonb, 1, 25, 900000)
    RETURNING queue
)
SELECT pg_notify('haulage_wake', queue) FROM stored
