-- Settings of a session that builds indexes. A concurrent build waits for older transactions to end, and holds up nobody meanwhile; behind
-- a backup it gives up. It takes one core, no more.
-- $1 ms for each wait, as text  $2 ms for a build, as text
-- Locks: none.
SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false),
       set_config('max_parallel_maintenance_workers', '0', false)
