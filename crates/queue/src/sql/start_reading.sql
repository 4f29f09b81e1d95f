-- For the rest of this transaction: nothing is written, no statement takes longer than $1 ms (as text), waiting for
-- locks included, plans use indexes and nothing is compiled. Returns the clock, by which a page reckons. Locks: none.
SELECT
    now() AS clock,
    set_config('statement_timeout', $1::text, true),
    set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
    set_config('transaction_read_only', 'on', true)
