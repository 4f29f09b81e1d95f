-- Ends each later statement of this transaction that waits longer for a lock. $1 the limit in ms, as text. Locks: none.
SELECT set_config('lock_timeout', $1::text, true)
