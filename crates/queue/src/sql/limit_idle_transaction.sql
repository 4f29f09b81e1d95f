-- Ends this transaction if it sits idle for longer than $1 milliseconds, so that a stuck handler can't hold locks for ever.
-- Only this transaction's setting: it never reaches the application's own.
SELECT set_config('idle_in_transaction_session_timeout', $1::text, true)
