-- For the story of a job: the traces that attempts have of their own. Safe beside programs from version 3 on. It makes a new table and
-- replaces functions; nothing is read and nobody waits.

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

SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 1, 5);

INSERT INTO haulage.compatibility (version, runs_with) VALUES (11, 3);
