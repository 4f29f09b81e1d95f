-- Pauses a queue that look_at_queue has locked; one that is paused gets the new reason and end.
-- $1 queue  $2 who  $3 why  $4 for how many s, NULL until resumed
-- Returns until when.
UPDATE haulage.queues
SET paused_at = coalesce(paused_at, now()), paused_by = $2::text, paused_why = $3::text,
    paused_until = now() + make_interval(secs => $4::double precision), updated_at = now()
WHERE name = $1::text
RETURNING paused_until
