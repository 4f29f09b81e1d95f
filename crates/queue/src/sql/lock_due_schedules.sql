-- Schedules that are due and not paused, for the caller to decide and fire_schedules to write in the same transaction.
-- $1 at most so many
-- Locks: the schedules, skipping those that another worker has in hand. Index: schedules_next.
SELECT name, cron, zone, missed, missed_for_s, next_at, paused_until, now() AS clock, kind, queue
FROM haulage.schedules
WHERE next_at <= now() AND (paused_at IS NULL OR paused_until <= now())
ORDER BY next_at
LIMIT $1::int
FOR UPDATE SKIP LOCKED
