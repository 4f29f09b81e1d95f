-- Calls the listening connection itself: what it hears of it shows that notifications reach it. $1 its own channel
SELECT pg_notify($1::text, '')
