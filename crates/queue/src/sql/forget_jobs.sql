-- Completes attempts of jobs that leave no history, each guarded by its lease: their rows go. Returns the ids that went; what is
-- said of the others in complete_jobs.sql holds here too, and so does what is said there of its plan.
-- $1 ids  $2 leases, parallel  $3 leases to remove if every row went: those that this batch empties
-- Locks: the job rows, skipping locked ones. Index: the primary key, then the rows' places in the table.
WITH done AS (
    DELETE FROM haulage.live_jobs
    WHERE ctid = ANY (ARRAY (
        SELECT j.ctid
        FROM unnest($1::bigint[], $2::bigint[]) AS f (id, lease),
        LATERAL (
            SELECT l.ctid
            FROM haulage.live_jobs AS l
            WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
            FOR UPDATE SKIP LOCKED
        ) AS j
    ))
    RETURNING id, unique_key
),
emptied AS (
    DELETE FROM haulage.leases
    WHERE id = ANY ($3::bigint[]) AND (SELECT count(*) FROM done) = cardinality($1::bigint[])
),
released AS (
    DELETE FROM haulage.unique_keys
    WHERE key = ANY (ARRAY (SELECT unique_key FROM done WHERE unique_key IS NOT NULL)) AND (until IS NULL OR until <= now())
)
SELECT id FROM done
