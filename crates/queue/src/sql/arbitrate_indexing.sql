-- Whether this session is the one of the fleet that builds indexes of the history, from now on until it ends.
-- Locks: an advisory one of the session: one of a transaction would be a snapshot that concurrent builds wait for.
SELECT pg_try_advisory_lock(1751217520, 1)
