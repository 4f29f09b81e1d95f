-- For the rest of this transaction plans use indexes, as on the worker's own connections: a thousand ids a statement are few beside a
-- long history, whatever the statistics say; and nothing is compiled, which would take longer than the statement.
SELECT
    set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true)
