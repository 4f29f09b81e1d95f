-- What a worker says of itself now and then: how far the clock of its machine is from the database's, and when its listening connection
-- heard itself last.
-- $1 worker  $2 its clock, ms since 1970  $3 whether it listens  $4 seconds since it heard itself, NULL never
-- Locks: its own row, for this statement. Index: the primary key.
UPDATE haulage.workers
SET clock_offset_ms = greatest(-2000000000, least(2000000000, $2::bigint - extract(epoch FROM clock_timestamp()) * 1000))::int,
    listens = $3::boolean, heard_at = now() - make_interval(secs => $4::double precision)
WHERE id = $1::bigint
