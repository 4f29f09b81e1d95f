-- Locks a schedule until the caller has changed it; returns its name, no row if there is none. $1 name
-- Locks: the schedule.
SELECT name FROM haulage.schedules WHERE name = $1::text FOR UPDATE
