-- The oldest transaction that runs now, of those that are not older than $1, and the first that has not started; that one twice
-- if none runs.
SELECT
    coalesce((SELECT min(x::text::bigint) FROM pg_snapshot_xip(s.now) AS x WHERE x::text::bigint >= $1::bigint), pg_snapshot_xmax(s.now)::text::bigint),
    pg_snapshot_xmax(s.now)::text::bigint
FROM pg_current_snapshot() AS s (now)
