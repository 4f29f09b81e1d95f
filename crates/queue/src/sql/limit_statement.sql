-- Ends the statements of this transaction after $1, in ms as text.
SELECT set_config('statement_timeout', $1::text, true)
