-- How limit keys stand: the limit that each has, what it has let in, who has run longest of that, what waits. As haulage.admit_keys
-- counts it; counts of what waits stop at 10,001. $1 keys
-- Index: live_jobs_admitted, live_jobs_waiting.
SELECT
    k.key, lim.key AS limit_key, lim.updated_at AS limit_updated_at, lim.max_running, lim.rate_count, lim.rate_ms, lim.rate_burst, r.starts, r.next_ms, h.admitted, h.idle,
    o.id AS holder, o.kind AS holder_kind, o.claimed_at AS holder_since, b.jobs AS idle_jobs, b.ids AS idle_ids, b.kinds AS idle_kinds,
    b.queues AS idle_queues, b.revisions AS idle_revisions,
    (
        SELECT count(*) FROM (SELECT FROM haulage.live_jobs AS w WHERE w.parked_for = 2 AND w.limit_key = k.key LIMIT 10001) AS counted
    ) AS waiting
FROM unnest($1::text[]) AS k (key)
LEFT JOIN LATERAL (
    SELECT l.key, l.max_running, l.rate_count, l.rate_ms, l.rate_burst, l.updated_at
    FROM haulage.key_limits AS l
    WHERE l.key = ANY (ARRAY[k.key, split_part(k.key, ':', 1) || ':*'])
    ORDER BY l.key = k.key DESC
    LIMIT 1
) AS lim ON true
LEFT JOIN LATERAL haulage.rate_left(
    (
        SELECT u.full_at
        FROM haulage.key_rates AS u
        WHERE u.key = k.key AND (u.limited_at = lim.updated_at OR u.limited_at IS NULL)
    ),
    lim.rate_count, lim.rate_ms, lim.rate_burst, clock_timestamp()
) AS r ON lim.rate_count IS NOT NULL
CROSS JOIN LATERAL (
    SELECT count(*) AS admitted, count(*) FILTER (WHERE a.state = 1) AS idle
    FROM (
        SELECT j.state
        FROM haulage.live_jobs AS j
        WHERE j.limit_key = k.key AND j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3)
        LIMIT 20000
    ) AS a
) AS h
LEFT JOIN LATERAL (
    SELECT j.id, j.kind, j.claimed_at
    FROM haulage.live_jobs AS j
    WHERE j.limit_key = k.key AND j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3) AND j.state = 2
    ORDER BY j.claimed_at
    LIMIT 1
) AS o ON h.admitted BETWEEN 1 AND 1000
LEFT JOIN LATERAL (
    SELECT
        array_agg(g.jobs) AS jobs, array_agg(g.id) AS ids, array_agg(g.kind) AS kinds, array_agg(g.queue) AS queues,
        array_agg(g.kind_revision) AS revisions
    FROM (
        SELECT count(*) AS jobs, min(j.id) AS id, j.kind, j.queue, j.kind_revision
        FROM haulage.live_jobs AS j
        WHERE j.limit_key = k.key AND j.limit_key IS NOT NULL AND (j.place IN (1, 2) OR j.parked_for = 3) AND j.state = 1
        GROUP BY j.kind, j.queue, j.kind_revision
    ) AS g
) AS b ON h.idle BETWEEN 1 AND 1000
