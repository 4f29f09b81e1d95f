-- Ends each later statement of this transaction that takes longer, and compiles none of them: that would take longer than they do. $1 the
-- limit in ms, as text. Locks: none.
SELECT set_config('statement_timeout', $1::text, true), set_config('jit', 'off', true)
