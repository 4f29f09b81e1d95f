-- Lets nothing into these queues and keys for so many seconds, if they have a rate. Arrays, parallel: $1 queues
-- $2 keys, NULL: of none  $3 seconds
-- Returns whose lock somebody else held: those are not held up.
-- Locks: an advisory lock and the row of each queue and key that has a rate, waiting about a second for all of them.
SELECT haulage.hold_rates($1::text[], $2::text[], $3::double precision[])
