-- Partitions for the days that completed jobs are kept.
SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 7, 8)
