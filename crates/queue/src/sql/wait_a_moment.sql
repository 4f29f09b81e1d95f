-- Waits until the owner of a locked row may be done with it. $1 seconds
SELECT pg_sleep($1::double precision)
