-- How many workers sleep on a queue of this database. The class is "haul" in ASCII, as in migrations/0003_enqueue.sql.
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND classid = 1751217516 AND mode = 'ShareLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
