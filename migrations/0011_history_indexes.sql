-- Indexes of the history's closed days, and looking jobs up by trace and by request. Safe beside anything: it makes functions only.
--
-- Today's partition has no index beyond its keys, because each one would cost every job that finishes (one on the trace id alone 7 to 16 %
-- of the drain). A worker gives a day its other indexes once it is over, one after the other: `<partition>_<what>`.

-- What is indexed of a closed day; of a request's id the beginning, because no key of more than 2.7 kB has room in an index.
-- crates/queue/src/store/index.rs holds the same for workers that own the tables; a test compares.
CREATE FUNCTION haulage.history_indexes() RETURNS TABLE (family text, what text, definition text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT f.family, i.what, i.definition
    FROM (VALUES ('finished_completed'), ('finished_failed'), ('attempts')) AS f (family),
         (VALUES ('trace', '(trace_id) WHERE trace_id IS NOT NULL'),
                 ('request', '(left(origin ->> ''request_id'', 256)) WHERE (origin ->> ''request_id'') IS NOT NULL'),
                 ('kind', '(kind, id)'),
                 ('tags', 'USING gin (tags) WHERE tags IS NOT NULL'),
                 ('args', 'USING gin (args jsonb_path_ops)')) AS i (what, definition)
    WHERE f.family <> 'attempts' OR i.what = 'trace'
$$;

-- Builds one of these for a worker that does not own the tables. Returns whether it is there; false when somebody had the partition locked
-- for longer than 50 ms.
--
-- CREATE INDEX CONCURRENTLY can't run in a function, so this one locks the partition against writes, not reads, for as long as it builds.
-- Nothing is added to a day that has been over for an hour; who waits is an operator who deletes or retries jobs of that day, and a handler
-- that completes in a transaction of its own which it began before midnight.
CREATE FUNCTION haulage.build_history_index(of_family text, day date, of_what text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, haulage, pg_temp AS $$
DECLARE
    part text := of_family || to_char(day, '_YYYYMMDD');
    name text := part || '_' || of_what;
    body text := (SELECT i.definition FROM haulage.history_indexes() AS i WHERE i.family = of_family AND i.what = of_what);
BEGIN
    IF body IS NULL OR to_regclass(format('haulage.%I', part)) IS NULL THEN
        RAISE EXCEPTION 'there is no index % of the history', coalesce(quote_literal(name), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (now() AT TIME ZONE 'UTC') < day + 1 + interval '1 hour' THEN
        RAISE EXCEPTION 'the day % is not over: jobs are still written to it', day USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM set_config('lock_timeout', '50ms', true);
    -- The leftover of a concurrent build that was cut short.
    IF EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass(format('haulage.%I', name)) AND NOT x.indisvalid) THEN
        EXECUTE format('DROP INDEX haulage.%I', name);
    END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON haulage.%I %s', name, part, body);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;
REVOKE ALL ON FUNCTION haulage.build_history_index(text, date, text) FROM PUBLIC;

-- The jobs of a trace, or of a request (the other is NULL): at most `most` ids, and whether everything was looked at.
--
-- Closed days answer by their index. Live jobs, today's, and days whose index is not built yet are read, the newest pages first, until
-- `budget` is used up: memory holds about five million of them a second. Of a trace also the jobs whose failed attempts were part of it.
-- STABLE, so that all parts are seen at one moment and no job slips from one to the other in between.
--
-- The planner knows nothing of what is in an expression, and a trace may have a million jobs: nothing is sorted or gathered whole before
-- the limit, and with these two options off what remains is the index, or the pages that are asked for.
CREATE FUNCTION haulage.find_jobs(by_trace uuid, by_request text, most int, budget interval, OUT ids bigint[], OUT complete boolean)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + budget;
    of_what text := CASE WHEN by_trace IS NOT NULL THEN 'trace' ELSE 'request' END;
    -- The index holds the beginning of a request's id.
    condition text := CASE WHEN by_trace IS NOT NULL THEN 'trace_id = $1'
        ELSE '(origin ->> ''request_id'') = $2 AND left(origin ->> ''request_id'', 256) = left($2, 256)' END;
    -- 16 MB of a table, some forty thousand jobs, between two looks at the clock.
    step CONSTANT bigint := 2048;
    part record;
    page bigint;
    found bigint[];
BEGIN
    ids := '{}';
    complete := true;
    FOR part IN
        SELECT c.oid, c.relname AS name, CASE p.family WHEN 'attempts' THEN 'job_id' ELSE 'id' END AS id,
               EXISTS (
                   SELECT FROM pg_index AS x
                   WHERE x.indexrelid = to_regclass(format('haulage.%I', c.relname || '_' || of_what)) AND x.indrelid = c.oid AND x.indisvalid
               ) AS indexed
        FROM (
            SELECT 'haulage.live_jobs'::regclass AS oid, 'live_jobs' AS family
            UNION ALL
            SELECT i.inhrelid, f.family
            FROM haulage.history_indexes() AS f
            JOIN pg_inherits AS i ON i.inhparent = format('haulage.%I', f.family)::regclass
            WHERE f.what = of_what
        ) AS p
        JOIN pg_class AS c ON c.oid = p.oid
        ORDER BY indexed DESC, p.family <> 'live_jobs', right(c.relname, 8) DESC, c.relname
    LOOP
        BEGIN
            -- One step if there is an index.
            page := CASE WHEN part.indexed THEN 1 ELSE pg_relation_size(part.oid) / current_setting('block_size')::int END;
            WHILE page > 0 AND cardinality(ids) <= most LOOP
                IF clock_timestamp() > deadline THEN
                    complete := false;
                    EXIT;
                END IF;
                EXECUTE format('SELECT array_agg(f.id) FROM (SELECT %I AS id FROM haulage.%I WHERE %s%s LIMIT $3) AS f',
                               part.id, part.name, condition, CASE WHEN NOT part.indexed THEN ' AND ctid >= $4 AND ctid < $5' END)
                INTO found
                USING by_trace, by_request, most + 1, format('(%s,0)', greatest(page - step, 0))::tid, format('(%s,0)', page)::tid;
                IF found IS NOT NULL THEN
                    -- Of several attempts of the same jobs there may be more than were told.
                    complete := complete AND cardinality(found) <= most;
                    ids := ARRAY (SELECT DISTINCT unnest(ids || found));
                END IF;
                page := page - step;
            END LOOP;
        EXCEPTION WHEN undefined_table THEN
            -- The day was dropped a moment ago.
        END;
        EXIT WHEN NOT complete OR cardinality(ids) > most;
    END LOOP;
    ids := ARRAY (SELECT unnest(ids) ORDER BY 1);
    IF cardinality(ids) > most THEN
        ids := ids[1:most];
        complete := false;
    END IF;
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (11, 3);
