-- Notes that a request is being done, if its key is new; returns whether it was.
-- $1 who asks  $2 the key  $3 hash of the request
-- Locks: a row of the same key that a concurrent transaction has written is waited for. Index: requests_pkey.
WITH noted AS (
    INSERT INTO haulage.requests (who, key, request)
    VALUES ($1::text, $2::text, $3::bytea)
    ON CONFLICT (who, key) DO NOTHING
    RETURNING key
)
SELECT EXISTS (SELECT FROM noted)
