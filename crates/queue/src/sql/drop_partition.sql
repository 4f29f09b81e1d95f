-- Drops the oldest partition of $1 whose day is more than $2 days past; returns its name, or NULL when there is none or a
-- reader held it.
SELECT haulage.drop_partition($1::text, (now() AT TIME ZONE 'UTC')::date - $2::int)
