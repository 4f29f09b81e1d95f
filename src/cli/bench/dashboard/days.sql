-- Partitions for ten days that are over, the one before (some of what failed on the first failed before), and today.
SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 11, 12)
