-- Adds failed attempts to the errors that they failed with. Returns false when a row or a table was locked for longer than 50 ms: nothing
-- is stored then. Arrays, parallel: $1 fingerprints, each once  $2 kinds  $3 classes  $4 messages  $5 queues, as arrays of JSON
-- $6 how many attempts  $7 a job  For all: $8 the version of Haulage
-- Locks: the rows, in one order. Index: the primary keys, errors_kind.
SELECT haulage.save_errors($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text)
