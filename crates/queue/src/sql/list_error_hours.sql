-- How many attempts failed in each of the last $2 hours, this one counted, of the errors $1: how many hours ago, and how many.
-- Index: the primary key.
SELECT
    h.fingerprint,
    (extract(epoch FROM date_bin('1 hour', now(), 'epoch'::timestamptz) - h.hour) / 3600)::int AS ago,
    h.attempts
FROM haulage.error_hours AS h
WHERE h.fingerprint = ANY ($1::text[])
  AND h.hour > date_bin('1 hour', now(), 'epoch'::timestamptz) - make_interval(hours => $2::int)
ORDER BY h.fingerprint, h.hour
