-- How many jobs waited and ran in each of the last steps, the most in each, the oldest first. NULLs: nobody looked in that step; a queue that
-- was empty then has zeros.
-- $1 length of the rows to read, in minutes  $2 length of a step  $3 how many steps  $4 the queue, NULL the sum of all
-- Index: the primary key, one row for each stretch of $1 minutes, and as many of the sum.
WITH steps AS MATERIALIZED (
    SELECT date_bin(make_interval(mins => $2::int), now(), 'epoch'::timestamptz) - make_interval(mins => $2::int * n) AS start
    FROM generate_series(0, $3::int - 1) AS n
),
most AS MATERIALIZED (
    SELECT
        date_bin(make_interval(mins => $2::int), d.start, 'epoch'::timestamptz) AS start,
        coalesce(max(d.available) FILTER (WHERE d.queue = coalesce($4::text, '')), 0) AS available,
        coalesce(max(d.parked) FILTER (WHERE d.queue = coalesce($4::text, '')), 0) AS parked,
        coalesce(max(d.running) FILTER (WHERE d.queue = coalesce($4::text, '')), 0) AS running,
        coalesce(bool_or(d.at_least) FILTER (WHERE d.queue = coalesce($4::text, '')), false) AS at_least
    FROM haulage.depths AS d
    WHERE d.length = $1::smallint AND d.queue IN ('', coalesce($4::text, '')) AND d.start >= (SELECT min(s.start) FROM steps AS s)
    GROUP BY 1
)
SELECT s.start, m.available, m.parked, m.running, m.at_least
FROM steps AS s
LEFT JOIN most AS m ON m.start = s.start
ORDER BY s.start
