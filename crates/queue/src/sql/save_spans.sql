-- Stores in which span long attempts are, each guarded by its lease.
-- Arrays, parallel: $1 ids  $2 leases  $3 paths  $4 seconds in the innermost span
-- Returns false when the table was locked for longer than 50 ms: nothing is stored then.
-- Locks: the rows of running_spans. Index: the primary keys.
SELECT haulage.save_spans($1::bigint[], $2::bigint[], $3::text[], $4::double precision[])
