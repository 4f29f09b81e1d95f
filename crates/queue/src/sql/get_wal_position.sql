-- Behind all that was committed when this is asked, as the number of a byte of the write-ahead log. Of a primary. Locks: none.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS position
