-- Schedules whose next instant passed more than $1 seconds ago and that nobody has fired. Index: schedules_next.
SELECT s.name, s.owner, s.next_at, s.kind, s.queue
FROM haulage.schedules AS s
WHERE s.next_at < now() - make_interval(secs => $1::double precision)
  AND (s.paused_at IS NULL OR s.paused_until < now() - make_interval(secs => $1::double precision))
ORDER BY s.next_at
LIMIT 50
