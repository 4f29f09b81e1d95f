-- Puts the scheduled job that is due next in line before its time, for a test that does not wait for it; its run_at stays as it
-- was. Returns its id, or no row when none is scheduled.
-- $1 queues  $2 kinds  $3 the last revision known of each kind, parallel to $2
-- Locks: the row it moves, skipping locked ones. Index: live_jobs_timed.
UPDATE haulage.live_jobs AS j
SET pos = nextval('haulage.job_pos'), eligible_at = least(j.eligible_at, now()),
    -- A suspect stays one until it succeeds.
    state = CASE WHEN j.crashes >= 2 OR j.limit_key IS NOT NULL THEN 3 ELSE 1 END,
    place = CASE WHEN j.crashes >= 2 OR j.limit_key IS NOT NULL THEN 3 ELSE 1 END,
    parked_for = CASE WHEN j.crashes >= 2 THEN 3 WHEN j.limit_key IS NOT NULL THEN 2 END
WHERE j.id = ANY (ARRAY (
    SELECT s.id
    FROM haulage.live_jobs AS s
    WHERE s.place = 0 AND s.queue = ANY ($1::text[]) AND s.kind = ANY ($2::text[])
      AND (s.kind_revision = 0 OR s.kind_revision <= ($3::smallint[])[array_position($2::text[], s.kind)])
    ORDER BY s.run_at, s.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
))
RETURNING j.id
