-- Says that a worker sleeps until the next scheduled job is due; held for as long as the connection lives.
SELECT pg_try_advisory_lock_shared(1751217517, 0)
