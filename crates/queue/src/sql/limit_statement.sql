-- Ends each later statement of this transaction that takes longer. $1 the limit in ms, as text. Locks: none.
SELECT set_config('statement_timeout', $1::text, true)
