-- What ended in each of the last steps, the oldest first; the last one goes on. Steps without a row are there, with zeros.
-- $1 length of the rows to read, in minutes  $2 length of a step  $3 how many steps  $4 only this queue, NULL all
-- Arrays are taken apart in the list of columns: in FROM that takes three times as long. Index: the primary key. Costs a row for each queue and kind in each stretch of $1 minutes.
WITH steps AS MATERIALIZED (
    SELECT date_bin(make_interval(mins => $2::int), now(), 'epoch'::timestamptz) - make_interval(mins => $2::int * n) AS start
    FROM generate_series(0, $3::int - 1) AS n
),
near AS MATERIALIZED (
    SELECT
        date_bin(make_interval(mins => $2::int), m.start, 'epoch'::timestamptz) AS start,
        m.completed, m.retried, m.dead, m.cancelled, m.snoozed, m.wait_ms, m.run_ms, m.waits, m.runs
    FROM haulage.minutes AS m
    WHERE m.length = $1::smallint AND m.start >= (SELECT min(s.start) FROM steps AS s) AND ($4::text IS NULL OR m.queue = $4::text)
),
sums AS MATERIALIZED (
    SELECT
        n.start, sum(n.completed)::bigint AS completed, sum(n.retried)::bigint AS retried, sum(n.dead)::bigint AS dead,
        sum(n.cancelled)::bigint AS cancelled, sum(n.snoozed)::bigint AS snoozed, sum(n.wait_ms)::bigint AS wait_ms,
        sum(n.run_ms)::bigint AS run_ms
    FROM near AS n
    GROUP BY n.start
),
waits AS MATERIALIZED (
    SELECT w.start, array_agg(w.place) AS places, array_agg(w.count) AS counts
    FROM (
        SELECT u.start, u.place, sum(u.count)::bigint AS count
        FROM (SELECT n.start, unnest(n.waits) AS count, generate_series(1, cardinality(n.waits))::bigint AS place FROM near AS n) AS u
        WHERE u.count > 0
        GROUP BY u.start, u.place
    ) AS w
    GROUP BY w.start
),
runs AS MATERIALIZED (
    SELECT r.start, array_agg(r.place) AS places, array_agg(r.count) AS counts
    FROM (
        SELECT u.start, u.place, sum(u.count)::bigint AS count
        FROM (SELECT n.start, unnest(n.runs) AS count, generate_series(1, cardinality(n.runs))::bigint AS place FROM near AS n) AS u
        WHERE u.count > 0
        GROUP BY u.start, u.place
    ) AS r
    GROUP BY r.start
)
SELECT
    s.start, coalesce(m.completed, 0) AS completed, coalesce(m.retried, 0) AS retried, coalesce(m.dead, 0) AS dead,
    coalesce(m.cancelled, 0) AS cancelled, coalesce(m.snoozed, 0) AS snoozed, coalesce(m.wait_ms, 0) AS wait_ms,
    coalesce(m.run_ms, 0) AS run_ms,
    coalesce(w.places, '{}') AS wait_places, coalesce(w.counts, '{}') AS wait_counts,
    coalesce(r.places, '{}') AS run_places, coalesce(r.counts, '{}') AS run_counts
FROM steps AS s
LEFT JOIN sums AS m ON m.start = s.start
LEFT JOIN waits AS w ON w.start = s.start
LEFT JOIN runs AS r ON r.start = s.start
ORDER BY s.start
