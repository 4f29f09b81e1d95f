-- Stores what running handlers last reported, each guarded by its lease.
-- Arrays, parallel: $1 ids  $2 leases  $3 percents  $4 messages
-- Locks: the progress rows. Index: the primary keys.
INSERT INTO haulage.progress AS p (job_id, lease, percent, message)
SELECT f.id, f.lease, f.percent, f.message
FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[]) AS f (id, lease, percent, message),
LATERAL (
    SELECT l.id
    FROM haulage.live_jobs AS l
    WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
    OFFSET 0 -- looked up one by one whatever the statistics say
) AS j
ON CONFLICT (job_id) DO UPDATE
SET lease = excluded.lease, percent = excluded.percent, message = excluded.message, updated_at = now()
