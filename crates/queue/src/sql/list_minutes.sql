-- What ended in each of the last steps, the oldest first; the last one goes on. Steps without a row are there, with zeros.
-- $1 length of the rows to read, in minutes  $2 length of a step  $3 how many steps  $4 only this queue, NULL all
-- Counts by length are added place by place, all 28 of LENGTHS: to take the arrays apart and group them takes three times as long.
-- Index: the primary key. Costs a row for each queue and kind in each stretch of $1 minutes.
WITH steps AS MATERIALIZED (
    SELECT date_bin(make_interval(mins => $2::int), now(), 'epoch'::timestamptz) - make_interval(mins => $2::int * n) AS start
    FROM generate_series(0, $3::int - 1) AS n
),
sums AS MATERIALIZED (
    SELECT
        date_bin(make_interval(mins => $2::int), m.start, 'epoch'::timestamptz) AS start,
        sum(m.completed)::bigint AS completed, sum(m.retried)::bigint AS retried, sum(m.dead)::bigint AS dead,
        sum(m.cancelled)::bigint AS cancelled, sum(m.snoozed)::bigint AS snoozed, sum(m.wait_ms)::bigint AS wait_ms,
        sum(m.run_ms)::bigint AS run_ms,
        ARRAY[
            sum(m.waits[1]), sum(m.waits[2]), sum(m.waits[3]), sum(m.waits[4]), sum(m.waits[5]), sum(m.waits[6]), sum(m.waits[7]),
            sum(m.waits[8]), sum(m.waits[9]), sum(m.waits[10]), sum(m.waits[11]), sum(m.waits[12]), sum(m.waits[13]), sum(m.waits[14]),
            sum(m.waits[15]), sum(m.waits[16]), sum(m.waits[17]), sum(m.waits[18]), sum(m.waits[19]), sum(m.waits[20]), sum(m.waits[21]),
            sum(m.waits[22]), sum(m.waits[23]), sum(m.waits[24]), sum(m.waits[25]), sum(m.waits[26]), sum(m.waits[27]), sum(m.waits[28])
        ]::bigint[] AS waits,
        ARRAY[
            sum(m.runs[1]), sum(m.runs[2]), sum(m.runs[3]), sum(m.runs[4]), sum(m.runs[5]), sum(m.runs[6]), sum(m.runs[7]),
            sum(m.runs[8]), sum(m.runs[9]), sum(m.runs[10]), sum(m.runs[11]), sum(m.runs[12]), sum(m.runs[13]), sum(m.runs[14]),
            sum(m.runs[15]), sum(m.runs[16]), sum(m.runs[17]), sum(m.runs[18]), sum(m.runs[19]), sum(m.runs[20]), sum(m.runs[21]),
            sum(m.runs[22]), sum(m.runs[23]), sum(m.runs[24]), sum(m.runs[25]), sum(m.runs[26]), sum(m.runs[27]), sum(m.runs[28])
        ]::bigint[] AS runs
    FROM haulage.minutes AS m
    WHERE m.length = $1::smallint AND m.start >= (SELECT min(s.start) FROM steps AS s) AND ($4::text IS NULL OR m.queue = $4::text)
    GROUP BY 1
)
SELECT
    s.start, coalesce(m.completed, 0) AS completed, coalesce(m.retried, 0) AS retried, coalesce(m.dead, 0) AS dead,
    coalesce(m.cancelled, 0) AS cancelled, coalesce(m.snoozed, 0) AS snoozed, coalesce(m.wait_ms, 0) AS wait_ms,
    coalesce(m.run_ms, 0) AS run_ms, coalesce(m.waits, '{}') AS waits, coalesce(m.runs, '{}') AS runs
FROM steps AS s
LEFT JOIN sums AS m ON m.start = s.start
ORDER BY s.start
