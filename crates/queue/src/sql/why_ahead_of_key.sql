-- How many jobs wait for a key before one that a worker of these queues and kinds would take. Stops counting at $7. Rows that somebody has
-- locked are passed, as by an admission.
-- $1 key  $2 priority  $3 position  $4 queues  $5 kinds  $6 revisions, parallel to $5  $7 at most so many
-- Index: live_jobs_waiting.
WITH busy AS MATERIALIZED (
    SELECT array_agg(l.transactionid) AS xids
    FROM pg_locks AS l
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
)
SELECT count(*)
FROM (
    SELECT
    FROM haulage.live_jobs AS j
    WHERE j.limit_key = $1::text AND j.parked_for = 2 AND (j.priority, j.pos) < ($2::smallint, $3::bigint)
      AND j.queue = ANY ($4::text[]) AND j.kind = ANY ($5::text[])
      AND (j.kind_revision = 0 OR j.kind_revision <= ($6::smallint[])[array_position($5::text[], j.kind)])
      AND (j.xmax = ANY ((SELECT b.xids FROM busy AS b)::xid[])) IS NOT TRUE
    LIMIT $7::int
) AS counted
