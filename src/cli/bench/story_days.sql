-- Partitions for ten days that have been over for an hour at least.
SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 11, 10)
