-- Writes a service's schedules. Returns a schedule that belongs to another service, and that service; then the caller rolls back.
-- A schedule whose times changed goes on from its new next instant; what is paused stays paused.
-- $1 owner. Arrays, parallel, in the order of names so that two callers can't wait for each other: $2 names  $3 expressions
-- $4 zones  $5 policies for missed instants  $6 their windows in s  $7 policies for overlap  $8 jitters in ms  $9 kinds
-- $10 queues  $11 args, JSON texts  $12 priorities  $13 max_attempts  $14 timeouts in ms  $15 tags, array literals
-- $16 meta, JSON texts  $17 next instants  $18 limit keys  $19 kind revisions
-- Locks: the schedules. Index: the primary key.
WITH declared AS (
    INSERT INTO haulage.schedules AS s (
        name, owner, cron, zone, missed, missed_for_s, overlap, jitter_ms, kind, queue, args, priority, max_attempts, timeout_ms,
        tags, meta, next_at, limit_key, kind_revision
    )
    SELECT
        d.name, $1::text, d.cron, d.zone, d.missed, d.missed_for_s, d.overlap, d.jitter_ms, d.kind, d.queue, d.args::jsonb, d.priority,
        d.max_attempts, d.timeout_ms, d.tags::text[], d.meta::jsonb, d.next_at, d.limit_key, d.kind_revision
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::smallint[], $6::int[], $7::smallint[], $8::int[], $9::text[], $10::text[], $11::text[],
        $12::smallint[], $13::smallint[], $14::int[], $15::text[], $16::text[], $17::timestamptz[],
        $18::text[], $19::smallint[]
    ) AS d (
        name, cron, zone, missed, missed_for_s, overlap, jitter_ms, kind, queue, args, priority, max_attempts, timeout_ms, tags, meta,
        next_at, limit_key, kind_revision
    )
    ON CONFLICT (name) DO UPDATE
    SET cron = excluded.cron, zone = excluded.zone, missed = excluded.missed, missed_for_s = excluded.missed_for_s,
        overlap = excluded.overlap, jitter_ms = excluded.jitter_ms, kind = excluded.kind, queue = excluded.queue, args = excluded.args,
        priority = excluded.priority, max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms, tags = excluded.tags,
        meta = excluded.meta, limit_key = excluded.limit_key, kind_revision = excluded.kind_revision, updated_at = now(),
        next_at = CASE WHEN (s.cron, s.zone) = (excluded.cron, excluded.zone) THEN s.next_at ELSE excluded.next_at END
    WHERE s.owner = excluded.owner
    RETURNING s.name
),
woken AS MATERIALIZED (
    SELECT pg_notify('haulage_due', '') FROM (SELECT count(*) FROM declared) AS all_of_them
)
SELECT s.name, s.owner
FROM woken
CROSS JOIN haulage.schedules AS s
WHERE s.name = ANY ($2::text[]) AND s.owner <> $1::text
ORDER BY s.name
LIMIT 1
