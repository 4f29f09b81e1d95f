-- In how many seconds the next schedule is due; NULL: none will be. A pause that ends counts as a time to look.
-- Index: schedules_next, then the few that are paused.
SELECT extract(epoch FROM least(
    (SELECT next_at FROM haulage.schedules WHERE paused_at IS NULL AND next_at < 'infinity' ORDER BY next_at LIMIT 1),
    (SELECT min(greatest(next_at, paused_until)) FROM haulage.schedules WHERE paused_until IS NOT NULL AND next_at < 'infinity')
) - now())::double precision
