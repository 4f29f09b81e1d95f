-- Removes a service's schedules that it no longer declares; their jobs stay. $1 owner  $2 names to keep
-- Locks: the rows it removes.
DELETE FROM haulage.schedules WHERE owner = $1::text AND name <> ALL ($2::text[])
