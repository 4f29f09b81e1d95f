-- The jobs of a trace: their ids, and whether everything was looked at.
-- $1 trace id  $2 how many at most  $3 ms for reading what has no index
-- Locks: none. Index: those of the history's closed days.
SELECT ids, complete FROM haulage.find_jobs($1::uuid, NULL, $2::int, $3::int * interval '1 ms')
