-- Makes the history's partitions from yesterday for $1 days; returns how many are new.
SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 1, $1::int)
