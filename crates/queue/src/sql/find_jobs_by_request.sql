-- The jobs enqueued in a request: their ids, and whether everything was looked at.
-- $1 request id  $2 how many at most  $3 ms for reading what has no index
-- Locks: none. Index: those of the history's closed days.
SELECT ids, complete FROM haulage.find_jobs(NULL, $1::text, $2::int, $3::int * interval '1 ms')
