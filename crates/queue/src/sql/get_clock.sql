-- The database's clock, which is the only one.
SELECT now()
