-- Keeps what is answered to a request, in the transaction that noted it.
-- $1 who asks  $2 the key  $3 the status  $4 the answer
-- Locks: the row. Index: requests_pkey.
UPDATE haulage.requests AS r
SET status = $3::smallint, answer = $4::text
WHERE r.who = $1::text AND r.key = $2::text
