-- In how many seconds the next schedule is due; NULL: none will be. A pause that ends counts as a time to look.
-- $1 expressions that the caller can't read, $2 each with its zone: schedules with them are left to others
-- Index: schedules_next, then the few that are paused.
SELECT extract(epoch FROM least(
    (
        SELECT next_at
        FROM haulage.schedules AS s
        WHERE paused_at IS NULL AND next_at < 'infinity'
          AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS u (cron, zone) WHERE (u.cron, u.zone) = (s.cron, s.zone) OFFSET 0)
        ORDER BY next_at
        LIMIT 1
    ),
    (
        SELECT min(greatest(next_at, paused_until))
        FROM haulage.schedules AS s
        WHERE paused_until IS NOT NULL AND next_at < 'infinity'
          AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS u (cron, zone) WHERE (u.cron, u.zone) = (s.cron, s.zone) OFFSET 0)
    )
) - now())::double precision
