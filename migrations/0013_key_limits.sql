-- What an admission finds of a key's limit costs less: its own, else its prefix's, one after the other; both and then a sort took 0.8 of 12.8 us
-- an admitted job. And an admitted job can run from now on (eligible_at): until here its key made it wait, from here on the queue. Safe beside
-- programs from version 3 on. Locks no table.

CREATE OR REPLACE FUNCTION haulage.admit_keys(
    keys text[], queues text[], kinds text[], revisions smallint[], OUT admitted int, OUT next_ms double precision
)
LANGUAGE plpgsql AS $$
DECLARE
    woken text;
    open_queues text[];
BEGIN
    admitted := 0;
    -- An admission lost in a server crash only means that the jobs wait again.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(1751217518, 3);
    -- From here on each statement sees what others admitted before. Of a paused queue nothing is let in, or it would hold slots that
    -- jobs of other queues could use.
    open_queues := ARRAY(
        SELECT u.queue
        FROM unnest(queues) AS u (queue)
        WHERE NOT EXISTS (
            SELECT FROM haulage.queues AS q
            WHERE q.name = u.queue AND q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now())
        )
    );
    FOR admitted, next_ms, woken IN
        WITH free AS MATERIALIZED (
            SELECT
                k.key, lim.rate_count, lim.rate_ms, lim.rate_burst, lim.updated_at, rate.full_at,
                least(
                    CASE WHEN lim.max_running IS NOT NULL THEN lim.max_running - (
                        SELECT count(*)
                        FROM haulage.live_jobs AS h
                        WHERE h.limit_key = k.key AND h.limit_key IS NOT NULL AND (h.place IN (1, 2) OR h.parked_for = 3)
                    ) END,
                    -- As haulage.rate_left has it; calling a function for each key costs as much as all the rest.
                    CASE WHEN lim.rate_count IS NOT NULL THEN greatest(0, floor(lim.rate_burst - greatest(
                        0, extract(epoch FROM rate.full_at - clock_timestamp())::double precision * 1000
                    ) * lim.rate_count / lim.rate_ms + 1e-9))::int END,
                    lim.rate_burst - CASE WHEN lim.rate_burst IS NOT NULL THEN (
                        SELECT count(*)
                        FROM haulage.live_jobs AS h
                        WHERE h.limit_key = k.key AND h.limit_key IS NOT NULL AND (h.place IN (1, 2) OR h.parked_for = 3) AND h.state = 1
                    ) END,
                    1000
                ) AS slots
            FROM unnest(keys) AS k (key)
            LEFT JOIN LATERAL (
                -- The key's own, else that of its prefix; not both and then a sort.
                SELECT own.max_running, own.rate_count, own.rate_ms, own.rate_burst, own.updated_at
                FROM haulage.key_limits AS own
                WHERE own.key = k.key
                UNION ALL
                SELECT of_prefix.max_running, of_prefix.rate_count, of_prefix.rate_ms, of_prefix.rate_burst, of_prefix.updated_at
                FROM haulage.key_limits AS of_prefix
                WHERE of_prefix.key = split_part(k.key, ':', 1) || ':*'
                LIMIT 1
            ) AS lim ON true
            CROSS JOIN LATERAL (
                SELECT CASE WHEN lim.rate_count IS NOT NULL THEN (
                    SELECT r.full_at
                    FROM haulage.key_rates AS r
                    WHERE r.key = k.key AND (r.limited_at = lim.updated_at OR r.limited_at IS NULL)
                ) END AS full_at
            ) AS rate
        ),
        picked AS MATERIALIZED (
            SELECT f.key, p.place_in_table, nextval('haulage.job_pos') AS pos
            FROM free AS f,
            LATERAL (
                SELECT w.ctid AS place_in_table
                FROM haulage.live_jobs AS w
                WHERE w.limit_key = f.key AND w.parked_for = 2 AND w.queue = ANY (open_queues) AND w.kind = ANY (kinds)
                  AND (w.kind_revision = 0 OR w.kind_revision <= revisions[array_position(kinds, w.kind)])
                ORDER BY w.priority, w.pos
                LIMIT greatest(f.slots, 0)
                FOR UPDATE SKIP LOCKED
            ) AS p
        ),
        moved AS (
            UPDATE haulage.live_jobs AS j
            SET state = 1, place = 1, parked_for = NULL, pos = p.pos, eligible_at = clock_timestamp()
            FROM picked AS p
            WHERE j.ctid = p.place_in_table
            RETURNING j.queue, p.key
        ),
        used AS (
            INSERT INTO haulage.key_rates AS r (key, full_at, limited_at)
            SELECT f.key, greatest(f.full_at, clock_timestamp()) + make_interval(secs => m.n * f.rate_ms / 1000.0 / f.rate_count), f.updated_at
            FROM (SELECT key, count(*) AS n FROM moved GROUP BY key) AS m,
            LATERAL (
                SELECT fr.key, fr.full_at, fr.rate_ms, fr.rate_count, fr.updated_at
                FROM free AS fr
                WHERE fr.key = m.key AND fr.rate_count IS NOT NULL
            ) AS f
            WHERE EXISTS (SELECT FROM free AS any_rate WHERE any_rate.rate_count IS NOT NULL)
            ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at, limited_at = excluded.limited_at
            RETURNING r.key, r.full_at
        )
        SELECT (SELECT count(*) FROM moved), rates.next_ms, q.queue
        FROM (
            -- When the next of a key with a rate may start, given what was used of it now or before.
            SELECT min(greatest(1, extract(epoch FROM coalesce(u.full_at, f.full_at) - clock_timestamp())::double precision * 1000
                                   - (f.rate_burst - 1) * f.rate_ms::double precision / f.rate_count)) AS next_ms
            FROM free AS f
            LEFT JOIN used AS u ON u.key = f.key
            WHERE f.rate_count IS NOT NULL AND coalesce(u.full_at, f.full_at) IS NOT NULL
        ) AS rates
        LEFT JOIN (SELECT DISTINCT queue FROM moved) AS q ON true
    LOOP
        IF woken IS NOT NULL THEN
            PERFORM haulage.wake(woken);
        END IF;
    END LOOP;
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (13, 3);
