-- Builds an index of a day of the history as the schema's owner; returns false when somebody had the partition locked.
-- $1 family  $2 day  $3 what
-- Locks: the partition against writes, while it builds.
SELECT haulage.build_history_index($1::text, $2::date, $3::text)
