-- Waits until nobody else does what this names, and keeps others waiting until the transaction ends. $1 what it is
-- Locks: an advisory one of the transaction.
SELECT pg_advisory_xact_lock(1751217522, hashtext($1::text))::text
