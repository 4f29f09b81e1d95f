-- What belongs together by trace, by request or as a family, among the newest jobs; the newest first, or the longest. Always a row: the last
-- job that was looked at, if there are older ones, with NULLs if nothing was found.
-- $1 only jobs with ids below this, NULL all  $2 how many jobs of each table are looked at  $3 all, failed, unfinished or slow
-- $4 at most so many. Index: the primary keys, backwards.
WITH live AS MATERIALIZED (
    SELECT
        j.id, j.root_id, j.trace_id, j.origin ->> 'request_id' AS request, j.origin ->> 'route' AS route, j.origin ->> 'service' AS service,
        j.kind, j.state, j.failures, j.created_at, NULL::timestamptz AS finished_at
    FROM haulage.live_jobs AS j
    WHERE j.id < coalesce($1::bigint, 9223372036854775807)
    ORDER BY j.id DESC
    LIMIT $2::int
),
ended AS MATERIALIZED (
    SELECT
        j.id, j.root_id, j.trace_id, j.origin ->> 'request_id' AS request, j.origin ->> 'route' AS route, j.origin ->> 'service' AS service,
        j.kind, j.state, j.failures, j.created_at, j.finished_at
    FROM haulage.finished_jobs AS j
    WHERE j.id < coalesce($1::bigint, 9223372036854775807)
    ORDER BY j.id DESC
    LIMIT $2::int
),
looked AS MATERIALIZED (
    SELECT greatest(
        CASE WHEN (SELECT count(*) FROM live) >= $2::int THEN (SELECT min(l.id) FROM live AS l) END,
        CASE WHEN (SELECT count(*) FROM ended) >= $2::int THEN (SELECT min(e.id) FROM ended AS e) END
    ) AS reached
),
near AS MATERIALIZED (
    SELECT
        coalesce(replace(a.trace_id::text, '-', ''), a.request, coalesce(a.root_id, a.id)::text) AS key,
        a.id, a.route, a.service, a.kind, a.state, a.failures, a.created_at, a.finished_at
    FROM (
        SELECT l.id, l.root_id, l.trace_id, l.request, l.route, l.service, l.kind, l.state, l.failures, l.created_at, l.finished_at FROM live AS l
        UNION ALL
        SELECT e.id, e.root_id, e.trace_id, e.request, e.route, e.service, e.kind, e.state, e.failures, e.created_at, e.finished_at FROM ended AS e
    ) AS a
    WHERE a.id >= coalesce((SELECT k.reached FROM looked AS k), 0)
),
found AS MATERIALIZED (
    SELECT
        n.key, min(n.id) AS first, max(n.id) AS last, count(*) AS jobs,
        count(*) FILTER (WHERE n.state < 5) AS unfinished, count(*) FILTER (WHERE n.state = 6) AS dead,
        count(*) FILTER (WHERE n.state = 7) AS cancelled, count(*) FILTER (WHERE n.state < 5 AND n.failures > 0) AS retried,
        min(n.created_at) AS started_at,
        CASE WHEN count(*) FILTER (WHERE n.state < 5) = 0 THEN max(n.finished_at) END AS ended_at
    FROM near AS n
    GROUP BY n.key
),
chosen AS MATERIALIZED (
    SELECT
        f.key, f.first, f.last, f.jobs, f.unfinished, f.dead, f.cancelled, f.retried, f.started_at, f.ended_at,
        extract(epoch FROM coalesce(f.ended_at, now()) - f.started_at)::double precision AS took_s
    FROM found AS f
    WHERE CASE $3::text WHEN 'failed' THEN f.dead + f.retried > 0 WHEN 'unfinished' THEN f.unfinished > 0 ELSE true END
    ORDER BY CASE WHEN $3::text = 'slow' THEN extract(epoch FROM coalesce(f.ended_at, now()) - f.started_at) END DESC, f.last DESC
    LIMIT $4::int
)
SELECT
    k.reached, c.key, c.first, c.last, c.jobs, c.unfinished, c.dead, c.cancelled, c.retried, c.started_at, c.ended_at, c.took_s,
    n.kind, n.route, n.service
FROM looked AS k
LEFT JOIN chosen AS c ON true
LEFT JOIN near AS n ON n.id = c.first
ORDER BY CASE WHEN $3::text = 'slow' THEN c.took_s END DESC, c.last DESC
