-- Pauses a schedule; one that is paused gets the new reason and end. $1 name  $2 who  $3 why  $4 until when, NULL until resumed
-- Locks: the schedule.
UPDATE haulage.schedules
SET paused_at = coalesce(paused_at, now()), paused_by = $2::text, paused_why = $3::text, paused_until = $4::timestamptz
WHERE name = $1::text
