-- Ends the pause of a queue that look_at_queue has locked, and wakes its workers. $1 queue
WITH resumed AS (
    UPDATE haulage.queues
    SET paused_at = NULL, paused_by = NULL, paused_why = NULL, paused_until = NULL, updated_at = now()
    WHERE name = $1::text
    RETURNING name
)
SELECT haulage.wake(name)::text FROM resumed
