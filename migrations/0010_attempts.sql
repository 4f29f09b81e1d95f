-- Beside attempts: what handlers said in those that failed, in which span a long one is, and the traces that they have of their own. Safe
-- beside programs from version 3 on, which write none of it: new tables and functions, and two functions that know two tables more. Nothing
-- is read and nobody waits.

-- The tail of what an attempt logged, by day like haulage.attempts and pruned with it. In a table of its own, because it is written after
-- the attempt was settled, by whoever has time: nothing that happens to it can hold up or fail a settle.
CREATE TABLE haulage.attempt_logs (
    job_id     bigint      NOT NULL,
    attempt    int         NOT NULL,
    ended_at   timestamptz NOT NULL,                   -- of the attempt
    written_at timestamptz NOT NULL DEFAULT now(),     -- what the lines count back from
    earlier    int         NOT NULL CHECK (earlier >= 0), -- lines before these, which were not kept
    lines      jsonb       NOT NULL,                   -- [{"before_us", "level", "target", "message", "fields"}], oldest first
    PRIMARY KEY (job_id, attempt, ended_at)
) PARTITION BY RANGE (ended_at);

-- Stores the tails of attempts. Arrays, parallel. Only of attempts that are in the history, so that what an operator has deleted stays
-- deleted, and a second try stores nothing twice. False: somebody has locked a table for longer than 50 ms, and nothing is stored; these
-- lines must never hold up what else the connection has to do.
CREATE FUNCTION haulage.save_logs(ids bigint[], numbers int[], earliers int[], texts text[]) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    -- Lines lost in a server crash cost nothing but the lines.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, earlier, lines)
    SELECT u.id, u.attempt, known.ended_at, u.earlier, u.lines::jsonb
    FROM unnest(ids, numbers, earliers, texts) AS u (id, attempt, earlier, lines),
    LATERAL (
        SELECT a.ended_at
        FROM haulage.attempts AS a
        WHERE a.job_id = u.id AND a.attempt = u.attempt AND a.ended_at > now() - interval '2 days'
        UNION ALL
        SELECT f.finished_at
        FROM haulage.finished_completed AS f
        WHERE f.id = u.id AND f.attempt = u.attempt AND f.finished_at > now() - interval '2 days'
        LIMIT 1
    ) AS known
    ON CONFLICT DO NOTHING;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- Where a running attempt is, once it has run for long: its innermost open span, with those around it. Beside the job, as its progress is,
-- so that claims stay HOT. Written when it changes; counts while the job runs under this lease.
CREATE TABLE haulage.running_spans (
    job_id bigint      PRIMARY KEY,
    lease  bigint      NOT NULL,
    path   text        NOT NULL,                       -- 'process > render > upload'
    since  timestamptz NOT NULL                        -- in the innermost
) WITH (fillfactor = 50);

-- Stores where attempts are, each guarded by its lease. Arrays, parallel; seconds: in the innermost span. False: somebody has locked the
-- table, and nothing is stored; the heartbeat, which brings this, waits for nobody.
CREATE FUNCTION haulage.save_spans(ids bigint[], leases bigint[], paths text[], seconds double precision[]) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.running_spans AS s (job_id, lease, path, since)
    SELECT u.id, u.lease, u.path, now() - make_interval(secs => u.s)
    FROM unnest(ids, leases, paths, seconds) AS u (id, lease, path, s),
    LATERAL (
        SELECT j.id
        FROM haulage.live_jobs AS j
        WHERE j.id = u.id AND j.lease = u.lease AND j.state = 2
        OFFSET 0 -- looked up one by one whatever the statistics say
    ) AS ours
    ON CONFLICT (job_id) DO UPDATE
    SET lease = excluded.lease, path = excluded.path, since = excluded.since;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

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

-- Stores traces that attempts have of their own. Arrays, parallel. False: somebody has locked the table for longer than 50 ms, and nothing
-- is stored; other duties wait for the same connection.
CREATE FUNCTION haulage.save_attempt_traces(trace_ids uuid[], span_ids bigint[], jobs bigint[], attempts int[]) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    -- One lost in a server crash is a trace id that leads nowhere.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.attempt_traces (trace_id, span_id, job_id, attempt)
    SELECT u.trace_id, u.span_id, u.job_id, u.attempt
    FROM unnest(trace_ids, span_ids, jobs, attempts) AS u (trace_id, span_id, job_id, attempt);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- As in 0002, and of logs and traces too.
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

-- As in 0002, and of logs and traces too.
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
      -- Conditions have no order: somebody's own partition has no date in its name.
      AND CASE WHEN c.relname ~ ('^' || parent || '_\d{8}$') THEN to_date(right(c.relname, 8), 'YYYYMMDD') < keep_from END
    ORDER BY c.relname
    LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE haulage.%I', part);
    END IF;
    RETURN part;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$;

SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 1, 5);

INSERT INTO haulage.compatibility (version, runs_with) VALUES (10, 3);
