-- Removes a schedule; its jobs stay, and so do the instants that have fired. $1 name
-- Locks: the schedule.
DELETE FROM haulage.schedules WHERE name = $1::text
