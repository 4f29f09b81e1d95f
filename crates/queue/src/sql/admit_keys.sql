-- Admits jobs of these keys; returns how many, and in how many ms it is worth while to ask again because of a rate.
-- $1 keys  $2 queues  $3 kinds  $4 the last revision known of each kind, parallel to $3
-- Locks: one advisory lock for the statement's time, the rows it moves. Index: live_jobs_waiting, live_jobs_admitted.
SELECT admitted, next_ms FROM haulage.admit_keys($1::text[], $2::text[], $3::text[], $4::smallint[])
