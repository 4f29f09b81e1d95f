-- Admits jobs of a limited queue; returns how many, and in how many ms it is worth while to ask again: because of its rate,
-- or because somebody else held a lock, for which it does not wait.
-- $1 queue  $2 kinds  $3 the last revision known of each kind, parallel to $2
-- Locks: an advisory lock of the queue for the statement's time, the queue's row if it has a rate, the rows it moves.
-- Index: live_jobs_returned, live_jobs_line.
SELECT admitted, next_ms FROM haulage.admit_queue($1::text, $2::text[], $3::smallint[])
