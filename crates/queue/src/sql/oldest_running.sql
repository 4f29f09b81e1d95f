-- The oldest transaction that runs now, of those that are not older than $1; if none, the first that has not started.
SELECT coalesce(
    (SELECT min(x::text::bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS x WHERE x::text::bigint >= $1::bigint),
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint
)
