-- The next index that a day of the history lacks, newest day first: of days that have been over for an hour, have rows, and are not dropped
-- within a day. An index that a build cut short has left behind is lacking too.
-- $1 days that completed jobs are kept  $2 days that failed ones are kept
-- Locks: none. Index: those of the catalog.
SELECT p.family, p.day, p.what, x.indexrelid IS NOT NULL AS leftover,
       pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege('haulage', 'CREATE') AS owned
FROM (
    SELECT h.family, h.what, i.inhrelid, to_date(right(n.relname, 8), 'YYYYMMDD') AS day
    FROM haulage.history_indexes() AS h
    JOIN pg_inherits AS i ON i.inhparent = format('haulage.%I', h.family)::regclass
    JOIN pg_class AS n ON n.oid = i.inhrelid
    WHERE n.relname ~ ('^' || h.family || '_\d{8}$')
) AS p
JOIN pg_class AS c ON c.oid = p.inhrelid
LEFT JOIN pg_index AS x ON x.indexrelid = to_regclass(format('haulage.%I', c.relname || '_' || p.what))
WHERE x.indisvalid IS NOT TRUE
  AND now() AT TIME ZONE 'UTC' >= p.day + 1 + interval '1 hour'
  AND p.day > (now() AT TIME ZONE 'UTC')::date - CASE p.family
          WHEN 'finished_completed' THEN $1::int
          WHEN 'finished_failed' THEN $2::int
          ELSE greatest($1::int, $2::int)
      END
  AND pg_relation_size(c.oid) > 0
ORDER BY p.day DESC, p.family, p.what DESC
LIMIT 1
