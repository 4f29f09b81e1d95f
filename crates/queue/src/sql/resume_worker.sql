-- Lets a worker claim again. $1 worker. Locks: the row. Index: primary key.
UPDATE haulage.quiet_workers SET resumed_at = now() WHERE worker = $1::bigint
