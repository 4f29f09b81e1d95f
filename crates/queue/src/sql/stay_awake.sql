-- The worker no longer sleeps on these queues: enqueues need not notify. $1 queues
SELECT count(pg_advisory_unlock_shared(1751217516, hashtext(q.queue)))
FROM unnest($1::text[]) AS q (queue)
