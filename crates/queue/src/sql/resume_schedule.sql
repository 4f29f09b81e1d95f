-- Ends a schedule's pause; what it held up does not fire. $1 name  $2 its next instant, NULL: none is left
-- Locks: the schedule.
WITH resumed AS (
    UPDATE haulage.schedules
    SET paused_at = NULL, paused_until = NULL, paused_by = NULL, paused_why = NULL, next_at = coalesce($2::timestamptz, 'infinity')
    WHERE name = $1::text
    RETURNING name
)
SELECT pg_notify('haulage_due', '') FROM resumed
