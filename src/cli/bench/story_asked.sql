-- A trace and a request of so many jobs of the history, here and there: $1 how many jobs there are, $2 how many are asked for.
SELECT replace(md5('trace ' || n / 30 * 10 + n % 10), '-', ''), md5('request ' || n)
FROM (SELECT 1 + (k * 7919 * 104729) % $1::bigint AS n FROM generate_series(1::bigint, $2::bigint) AS k) AS asked
