-- Pauses a schedule; one that is paused gets the new reason and end. $1 name  $2 who  $3 why  $4 for how many s, NULL until resumed
-- Locks: the schedule. Returns until when.
UPDATE haulage.schedules
SET paused_at = coalesce(paused_at, now()), paused_by = $2::text, paused_why = $3::text, paused_until = now() + make_interval(secs => $4::double precision)
WHERE name = $1::text
RETURNING paused_until
