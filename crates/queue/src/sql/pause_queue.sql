-- Pauses a queue; one that is paused gets the new reason and end. $1 queue  $2 who  $3 why  $4 for how many s, NULL until resumed
-- Locks: the queue's row. Returns until when.
INSERT INTO haulage.queues AS q (name, paused_at, paused_by, paused_why, paused_until)
VALUES ($1::text, now(), $2::text, $3::text, now() + make_interval(secs => $4::double precision))
ON CONFLICT (name) DO UPDATE
SET paused_at = coalesce(q.paused_at, now()), paused_by = excluded.paused_by, paused_why = excluded.paused_why,
    paused_until = excluded.paused_until, updated_at = now()
RETURNING paused_until
