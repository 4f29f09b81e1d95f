-- How many jobs are in each state, counted to 10,001, so that it costs the same beside any backlog and any history; of completed ones
-- also what the planner's statistics estimate. Available ones are counted as index entries less what runs: a count that reads rows takes
-- ten times as long. Index: the partial ones of live_jobs; finished_failed_state; the keys of finished_completed.
WITH running AS MATERIALIZED (
    SELECT count(*) AS jobs
    FROM (
        SELECT
        FROM haulage.leases AS l, unnest(l.ids) AS i (id),
        LATERAL (SELECT FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id OFFSET 0) AS own
        LIMIT 10001
    ) AS counted
)
SELECT
    (SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.place = 0 LIMIT 10001) AS counted) AS scheduled,
    greatest(0, (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.place = 1 LIMIT 10001 + (SELECT r.jobs FROM running AS r)) AS counted
    ) + (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.place = 2 LIMIT 10001 + (SELECT r.jobs FROM running AS r)) AS counted
    ) - (SELECT r.jobs FROM running AS r)) AS available,
    (SELECT r.jobs FROM running AS r) AS running,
    (SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS j WHERE j.place = 3 LIMIT 10001) AS counted) AS parked,
    (SELECT count(*) FROM (SELECT FROM haulage.finished_completed LIMIT 10001) AS counted) AS completed,
    (SELECT count(*) FROM (SELECT FROM haulage.finished_failed AS j WHERE j.state = 6 LIMIT 10001) AS counted) AS dead,
    (SELECT count(*) FROM (SELECT FROM haulage.finished_failed AS j WHERE j.state = 7 LIMIT 10001) AS counted) AS cancelled,
    (
        SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'haulage.finished_completed'::regclass
    ) AS completed_about
