-- Day partitions of the history: made ahead, dropped behind. Safe beside anything.
--
-- These are functions because a partition's name is its day, and no Rust code builds SQL text.

-- Makes the partitions of all three parents for `days` days from `first_day` (UTC); returns how many are new.
-- CREATE TABLE LIKE + ATTACH takes a share-level lock on the parent, where PARTITION OF would take ACCESS EXCLUSIVE
-- and queue every settle behind one slow read.
CREATE FUNCTION haulage.make_partitions(first_day date, days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, haulage, pg_temp AS $$
DECLARE
    parent text;
    day date;
    part text;
    made int := 0;
BEGIN
    -- One maker at a time: two would both find the partition missing.
    PERFORM pg_advisory_xact_lock(1751217518, 1);
    FOREACH parent IN ARRAY ARRAY['finished_completed', 'finished_failed', 'attempts'] LOOP
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

-- Drops the oldest partition of `parent` that ends on or before `keep_from` (UTC); returns its name, or NULL when there is
-- none or a reader held it for longer than 50 ms. One a call, so that each has a transaction of its own.
CREATE FUNCTION haulage.drop_partition(parent text, keep_from date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, haulage, pg_temp AS $$
DECLARE
    part text;
BEGIN
    IF parent IS NULL OR parent NOT IN ('finished_completed', 'finished_failed', 'attempts') THEN
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

-- They run as the schema's owner, so that a worker needs no ownership of its own; whoever runs workers is granted them.
REVOKE ALL ON FUNCTION haulage.make_partitions(date, int), haulage.drop_partition(text, date) FROM PUBLIC;

SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 1, 5);
