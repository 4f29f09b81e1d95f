-- The next index that a day of the history lacks, newest day first: of days that have been over for an hour, have rows, and are not dropped
-- within a day. An index that a build cut short has left behind is lacking too.
-- $1 days that completed jobs are kept  $2 days that failed ones are kept  $3 names of indexes that are left out
-- Locks: each partition against its drop, to see its size. Index: those of the catalog.
WITH days AS MATERIALIZED (
    -- So that nothing below is asked of another table: not its size, and no day of what has none in its name.
    SELECT h.family, h.what, n.oid, n.relowner, n.relname, n.relname || '_' || h.what AS name,
           CASE WHEN n.relname ~ ('^' || h.family || '_\d{8}$') THEN to_date(right(n.relname, 8), 'YYYYMMDD') END AS day
    FROM haulage.history_indexes() AS h
    JOIN pg_inherits AS i ON i.inhparent = format('haulage.%I', h.family)::regclass
    JOIN pg_class AS n ON n.oid = i.inhrelid
), lacking AS MATERIALIZED (
    SELECT d.*, x.indexrelid IS NOT NULL AS leftover
    FROM days AS d
    LEFT JOIN pg_index AS x ON x.indexrelid = to_regclass(format('haulage.%I', d.name))
    WHERE x.indisvalid IS NOT TRUE
      AND d.name <> ALL ($3::text[])
      AND now() AT TIME ZONE 'UTC' >= d.day + 1 + interval '1 hour'
      AND d.day > (now() AT TIME ZONE 'UTC')::date - CASE d.family
              WHEN 'finished_completed' THEN $1::int
              WHEN 'finished_failed' THEN $2::int
              ELSE greatest($1::int, $2::int)
          END
)
SELECT l.family, l.day, l.what, l.leftover, pg_has_role(l.relowner, 'USAGE') AND has_schema_privilege('haulage', 'CREATE') AS owned
FROM lacking AS l
WHERE pg_relation_size(l.oid) > 0
ORDER BY l.day DESC, l.family, l.what DESC
LIMIT 1
