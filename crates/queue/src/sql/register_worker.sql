-- Makes a worker known; a claim requires this row.
-- $1 id  $2 name  $3 version  $4 queues  $5 slots, parallel  $6 kinds  $7 lease in ms  $8 the last revision known of each kind, parallel to $6
INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions)
VALUES ($1::bigint, $2::text, $3::text, $4::text[], $5::int[], $6::text[], $7::int, $8::smallint[])
