-- Whether the depths of this minute are for this transaction to write: nobody has yet, and nobody is about to.
-- Locks: an advisory one, to the end of the transaction. Index: the primary key of depths.
SELECT CASE
    WHEN EXISTS (SELECT FROM haulage.depths AS d WHERE d.length = 1 AND d.queue = '' AND d.start = date_trunc('minute', now())) THEN false
    ELSE pg_try_advisory_xact_lock(1751217518, 4)
END
