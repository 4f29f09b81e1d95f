-- How many attempts ended in each of the last 30 whole minutes, by queue, the oldest first. $1 only these queues.
-- Index: the primary key of minutes; a row for each queue and kind in each minute.
SELECT m.queue, m.start, sum(m.completed + m.retried + m.dead + m.cancelled + m.snoozed)::bigint AS attempts
FROM haulage.minutes AS m
WHERE m.length = 1 AND m.start >= date_trunc('minute', now()) - interval '30 minutes' AND m.start < date_trunc('minute', now())
  AND m.queue = ANY ($1::text[])
GROUP BY m.queue, m.start
ORDER BY m.queue, m.start
