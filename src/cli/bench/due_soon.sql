-- Each schedule is due at the next moment that its expression, a second of the minute, names.
UPDATE haulage.schedules
SET next_at = date_trunc('minute', now()) + make_interval(secs => split_part(cron, ' ', 1)::int)
    + CASE WHEN split_part(cron, ' ', 1)::int <= extract(second FROM now()) + 4 THEN interval '1 minute' ELSE interval '0' END
