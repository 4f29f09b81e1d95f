-- Says which trace jobs begin, in the transaction that has just stored them.
-- $1 ids  $2 trace ids  $3 span ids  $4 trace flags: parallel
-- Locks: the jobs, which nobody else sees yet. Index: the primary key.
UPDATE haulage.live_jobs AS j
SET trace_id = t.trace_id, span_id = t.span_id, trace_flags = t.trace_flags
FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::smallint[]) AS t (id, trace_id, span_id, trace_flags)
WHERE j.id = t.id
