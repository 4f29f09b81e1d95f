-- For the story of a job: the traces that attempts have of their own, and since when a job that waited for its key could run. Safe beside
-- programs from version 3 on. It makes a new table and replaces functions; nothing is read and nobody waits.

-- Where an attempt's trace is not that of its job: it was scheduled for later, one of a crowd, or its enqueue had no trace. So that a trace
-- id in a log line leads to the job. Written by workers apart from the results, a second later at most; by UTC day, like the history.
CREATE TABLE haulage.attempt_traces (
    trace_id uuid        NOT NULL,
    span_id  bigint      NOT NULL,
    job_id   bigint      NOT NULL,
    attempt  int         NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (at);
CREATE INDEX attempt_traces_trace ON haulage.attempt_traces (trace_id);
CREATE INDEX attempt_traces_job ON haulage.attempt_traces (job_id);

-- As before, and of the traces of attempts too.
CREATE OR REPLACE FUNCTION haulage.make_partitions(first_day date, days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, haulage, pg_temp AS $$
DECLARE
    parent text;
    day date;
    part text;
    made int := 0;
BEGIN
    -- One maker at a time: two would both find the partition missing.
    PERFORM pg_advisory_xact_lock(1751217518, 1);
    FOREACH parent IN ARRAY ARRAY['finished_completed', 'finished_failed', 'attempts', 'attempt_logs', 'attempt_traces'] LOOP
        FOR day IN SELECT first_day + n FROM generate_series(0, days - 1) AS n LOOP
            part := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass(format('haulage.%I', part)) IS NOT NULL;
            EXECUTE format('CREATE TABLE haulage.%I (LIKE haulage.%I INCLUDING ALL)', part, parent);
            EXECUTE format('ALTER TABLE haulage.%I ATTACH PARTITION haulage.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, to_char(day, 'YYYY-MM-DD 00:00:00+00'), to_char(day + 1, 'YYYY-MM-DD 00:00:00+00'));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- As before, and of the traces of attempts too.
CREATE OR REPLACE FUNCTION haulage.drop_partition(parent text, keep_from date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, haulage, pg_temp AS $$
DECLARE
    part text;
BEGIN
    IF parent IS NULL OR parent NOT IN ('finished_completed', 'finished_failed', 'attempts', 'attempt_logs', 'attempt_traces') THEN
        RAISE EXCEPTION '% is no part of the history', coalesce(quote_literal(parent), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- DROP takes ACCESS EXCLUSIVE on the parent: never wait long for it, or every settle waits behind.
    PERFORM set_config('lock_timeout', '50ms', true);
    SELECT c.relname INTO part
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = format('haulage.%I', parent)::regclass
      AND c.relname ~ ('^' || parent || '_\d{8}$')
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < keep_from
    ORDER BY c.relname
    LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE haulage.%I', part);
    END IF;
    RETURN part;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$;

-- As before, and an admitted job can run from now on: until here it was its key that made it wait, from here on it is the queue.
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
                SELECT l.max_running, l.rate_count, l.rate_ms, l.rate_burst, l.updated_at
                FROM haulage.key_limits AS l
                WHERE l.key = ANY (ARRAY[k.key, split_part(k.key, ':', 1) || ':*'])
                ORDER BY l.key = k.key DESC
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

SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 1, 5);

INSERT INTO haulage.compatibility (version, runs_with) VALUES (11, 3);
