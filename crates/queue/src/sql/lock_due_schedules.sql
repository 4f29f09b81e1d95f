-- Schedules that are due and not paused, for the caller to decide and fire_schedules to write in the same transaction.
-- $1 at most so many  $2 expressions that the caller can't read, $3 each with its zone: schedules with them are left to others
-- Locks: the schedules, skipping those that another worker has in hand. Index: schedules_next.
SELECT ctid::text AS place, name, cron, zone, missed, missed_for_s, next_at, paused_until, now() AS clock, kind, queue
FROM haulage.schedules AS s
WHERE next_at <= now() AND (paused_at IS NULL OR paused_until <= now())
  -- OFFSET 0: asked for each row, and never joined.
  AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS u (cron, zone) WHERE (u.cron, u.zone) = (s.cron, s.zone) OFFSET 0)
ORDER BY next_at
LIMIT $1::int
FOR UPDATE SKIP LOCKED
