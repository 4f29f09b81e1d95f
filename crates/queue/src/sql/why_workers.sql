-- Live workers whose clock is off by more than $1 ms, or that listen and have not heard themselves for $2 seconds and their lease.
-- Index: none; there are as many rows as processes.
SELECT w.name, w.clock_offset_ms, w.heard_at, abs(w.clock_offset_ms) > $1::int AS clock_off
FROM haulage.workers AS w
WHERE w.dead_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => w.lease_ms / 1000.0)
  AND (
      abs(w.clock_offset_ms) > $1::int
      OR (w.listens AND coalesce(w.heard_at, w.started_at) < now() - make_interval(secs => greatest($2::double precision, w.lease_ms / 1000.0)))
  )
ORDER BY w.name
LIMIT 50
