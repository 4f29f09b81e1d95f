-- Ends a queue's pause and wakes its workers; returns a row if it was paused. $1 queue
-- Locks: the queue's row.
WITH resumed AS (
    UPDATE haulage.queues
    SET paused_at = NULL, paused_by = NULL, paused_why = NULL, paused_until = NULL, updated_at = now()
    WHERE name = $1::text AND paused_at IS NOT NULL
    RETURNING name
)
SELECT haulage.wake(name)::text FROM resumed
