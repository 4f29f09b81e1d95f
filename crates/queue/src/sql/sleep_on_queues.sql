-- Says that a worker is about to sleep on these queues: an enqueue then finds its exclusive try failing, and notifies.
-- Returns whether every shared lock was had; if not, the worker polls instead. $1 queues
SELECT coalesce(bool_and(pg_try_advisory_lock_shared(1751217516, hashtext(q.queue))), true)
FROM unnest($1::text[]) AS q (queue)
