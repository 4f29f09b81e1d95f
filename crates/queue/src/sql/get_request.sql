-- What was answered to a request.
-- $1 who asked  $2 the key
-- Index: requests_pkey.
SELECT r.request, r.status, r.answer
FROM haulage.requests AS r
WHERE r.who = $1::text AND r.key = $2::text
