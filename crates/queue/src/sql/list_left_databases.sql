-- Databases of test runs that have ended without dropping them: no session carries the run's name any more. A run connects under
-- its name before it makes a database, and this statement sees the databases before it looks at the sessions.
SELECT d.datname::text
FROM pg_database AS d
WHERE d.datname::text ~ '^haulage_test_[0-9a-f]{8}_'
  AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.application_name = left(d.datname::text, 21))
