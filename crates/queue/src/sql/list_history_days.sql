-- The days that each part of the history has, by the names of its partitions.
SELECT
    p.relname::text AS family, min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS first, max(to_date(right(c.relname, 8), 'YYYYMMDD')) AS last,
    count(*) AS days
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
JOIN pg_class AS p ON p.oid = i.inhparent
JOIN pg_namespace AS n ON n.oid = p.relnamespace
WHERE n.nspname = 'haulage' AND p.relkind = 'p' AND c.relkind = 'r' AND c.relname ~ '_\d{8}$'
GROUP BY p.relname
ORDER BY p.relname
