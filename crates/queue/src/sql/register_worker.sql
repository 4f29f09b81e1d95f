-- Makes a worker known; a claim requires this row.
-- $1 id  $2 name  $3 version  $4 queues  $5 slots, parallel  $6 kinds  $7 lease in ms  $8 the last revision known of each kind, parallel to $6
-- $9 what its id was before it was declared dead, or NULL: it stays quiet
WITH quiet AS (
    INSERT INTO haulage.quiet_workers (worker, at, by, why)
    SELECT $1::bigint, q.at, q.by, q.why
    FROM haulage.quiet_workers AS q
    WHERE q.worker = $9::bigint AND q.resumed_at IS NULL
)
INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions)
VALUES ($1::bigint, $2::text, $3::text, $4::text[], $5::int[], $6::text[], $7::int, $8::smallint[])
