-- The limits of a key. The row is made, without a limit, if it is missing, and stays locked, so that it is so until the caller changes it.
-- $1 key, or a word and ":*"
-- Locks: the limit's row.
INSERT INTO haulage.key_limits AS l (key)
VALUES ($1::text)
ON CONFLICT (key) DO UPDATE SET updated_at = l.updated_at
RETURNING max_running, rate_count, rate_ms, rate_burst
