-- A revision of each kind: workers say up to which one they know a kind, and leave newer jobs to others. Safe beside programs of
-- version 3 to 7, which take jobs of every revision: functions, and nothing that locks. The columns for it are made at the end of 0009:
-- what is locked for them stays locked until all migrations have ended.

-- As before, and of each kind only jobs up to the revision that the caller knows. Claims wait for the answer, so nothing here waits for a
-- lock: neither for another admission nor for whoever holds the queue's row, which may be a session that was forgotten.
CREATE FUNCTION haulage.admit_queue(wanted text, kinds text[], revisions smallint[], OUT admitted int, OUT next_ms double precision)
LANGUAGE plpgsql AS $$
DECLARE
    q haulage.queues;
    held int;
    waiting int;
    old int := 0;
    free int := 1000;
    starts int;
BEGIN
    admitted := 0;
    -- An admission lost in a server crash only means that the job waits again.
    PERFORM set_config('synchronous_commit', 'off', true);
    IF NOT pg_try_advisory_xact_lock(1751217519, hashtext(wanted)) THEN
        -- What the caller knows of may have come too late for the other admission. Not all who were refused together come back together.
        next_ms := 5 + 15 * random();
        RETURN;
    END IF;
    -- From here on each statement sees what others admitted before.
    SELECT * INTO q FROM haulage.queues AS u WHERE u.name = wanted;
    IF NOT FOUND OR (q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now())) THEN
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE j.state = 1) INTO held, waiting
    FROM haulage.live_jobs AS j WHERE j.queue = wanted AND j.place = 2;
    IF q.max_running IS NOT NULL THEN
        IF q.in_line THEN
            SELECT count(*) INTO old
            FROM haulage.leases AS l, unnest(l.ids) AS i (id),
            LATERAL (SELECT FROM haulage.live_jobs AS j WHERE j.id = i.id AND j.lease = l.id AND j.queue = wanted AND j.place = 1) AS j;
            IF old = 0 AND q.limited_at < now() - interval '1 minute' THEN
                UPDATE haulage.queues AS u SET in_line = false
                WHERE u.name = (
                    SELECT l.name FROM haulage.queues AS l WHERE l.name = wanted AND l.limited_at = q.limited_at FOR NO KEY UPDATE SKIP LOCKED
                );
            END IF;
        END IF;
        SELECT held + old + count(*) INTO held FROM haulage.live_jobs AS j WHERE j.queue = wanted AND j.parked_for = 3;
        free := least(free, q.max_running - held);
    END IF;
    IF q.rate_count IS NOT NULL THEN
        SELECT r.starts, r.next_ms INTO starts, next_ms
        FROM haulage.rate_left(q.full_at, q.rate_count, q.rate_ms, q.rate_burst, clock_timestamp()) AS r;
        -- What was admitted and has not started would start in addition.
        free := least(free, starts, q.rate_burst - waiting);
    END IF;
    IF free <= 0 THEN
        RETURN;
    END IF;
    IF q.rate_count IS NOT NULL THEN
        -- Nothing starts whose start can't be written down.
        SELECT u.full_at INTO q.full_at FROM haulage.queues AS u WHERE u.name = wanted FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            next_ms := 200;
            RETURN;
        END IF;
    END IF;
    UPDATE haulage.live_jobs AS j SET place = 2
    WHERE j.ctid = ANY (ARRAY (
        SELECT l.ctid
        FROM haulage.live_jobs AS l
        WHERE l.queue = wanted AND l.place = 1 AND l.state = 1 AND l.kind = ANY (kinds)
          AND (l.kind_revision = 0 OR l.kind_revision <= revisions[array_position(kinds, l.kind)])
        ORDER BY l.priority, l.pos
        LIMIT free
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS admitted = ROW_COUNT;
    IF q.rate_count IS NOT NULL AND admitted > 0 THEN
        UPDATE haulage.queues AS u
        SET full_at = greatest(q.full_at, clock_timestamp()) + make_interval(secs => admitted * q.rate_ms / 1000.0 / q.rate_count)
        WHERE u.name = wanted
        RETURNING (SELECT r.next_ms FROM haulage.rate_left(u.full_at, q.rate_count, q.rate_ms, q.rate_burst, clock_timestamp()) AS r) INTO next_ms;
    END IF;
    -- Without anything that waits the rate is no reason to look.
    IF admitted < free THEN
        next_ms := NULL;
    END IF;
END $$;

-- For programs that know of no revisions.
CREATE OR REPLACE FUNCTION haulage.admit_queue(wanted text, kinds text[], OUT admitted int, OUT next_ms double precision)
LANGUAGE sql AS $$
    SELECT a.admitted, a.next_ms
    FROM haulage.admit_queue(wanted, kinds, array_fill(32767::smallint, ARRAY[cardinality(kinds)])) AS a
$$;

-- As before, and of each kind only jobs up to the revision that the caller knows. And what was used of a rate says nothing of a limit that
-- was set since: a rate that is raised holds at once, as that of a queue does.
CREATE FUNCTION haulage.admit_keys(
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
            SET state = 1, place = 1, parked_for = NULL, pos = p.pos
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

-- For programs that know of no revisions.
CREATE OR REPLACE FUNCTION haulage.admit_keys(keys text[], queues text[], kinds text[], OUT admitted int, OUT next_ms double precision)
LANGUAGE sql AS $$
    SELECT a.admitted, a.next_ms
    FROM haulage.admit_keys(keys, queues, kinds, array_fill(32767::smallint, ARRAY[cardinality(kinds)])) AS a
$$;

-- As before, and args that replace others bring their revision with them.
CREATE FUNCTION haulage.reserve_unique_key(
    wanted uuid, window_s double precision, on_conflict smallint, new_args jsonb, new_run_at timestamptz, new_revision smallint,
    OUT id bigint, OUT duplicate boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
    new_until timestamptz := now() + make_interval(secs => window_s);
    holder haulage.unique_keys;
    holder_queue text;
BEGIN
    FOR round IN 1 .. 100 LOOP
        new_id := coalesce(new_id, nextval('haulage.live_jobs_id_seq'));
        INSERT INTO haulage.unique_keys AS k (key, job_id, until)
        VALUES (wanted, new_id, new_until)
        ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            id := new_id; duplicate := false; RETURN;
        END IF;

        SELECT k.key, k.job_id, k.until INTO holder FROM haulage.unique_keys AS k WHERE k.key = wanted;
        CONTINUE WHEN NOT FOUND;  -- released between the two statements: try again

        IF (holder.until IS NULL OR holder.until <= now()) AND NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = holder.job_id) THEN
            UPDATE haulage.unique_keys AS k SET job_id = new_id, until = new_until
            WHERE k.key = wanted AND k.job_id = holder.job_id;
            CONTINUE WHEN NOT FOUND;  -- another transaction took it over first
            id := new_id; duplicate := false; RETURN;
        END IF;

        -- A row that a claim might be looking at right now goes to place 2, or the claim's lower bound could pass it for good. In a
        -- limited queue no claim looks at the line, and place 2 is a slot.
        IF on_conflict & 1 = 1 THEN
            UPDATE haulage.live_jobs AS j
            SET args = new_args, kind_revision = new_revision,
                place = CASE WHEN j.state = 1 AND NOT haulage.is_limited(j.queue) THEN 2 ELSE j.place END
            WHERE j.id = holder.job_id AND j.state IN (0, 1, 3);
        END IF;
        IF on_conflict & 2 = 2 THEN
            -- An admitted job keeps its slot; one that comes from its time waits for its key anew.
            UPDATE haulage.live_jobs AS j
            SET run_at = new_run_at, eligible_at = new_run_at,
                state = CASE WHEN new_run_at > now() THEN 0 WHEN j.limit_key IS NOT NULL AND j.state = 0 THEN 3 ELSE 1 END,
                place = CASE
                    WHEN new_run_at > now() THEN 0
                    WHEN j.limit_key IS NOT NULL AND j.state = 0 THEN 3
                    WHEN haulage.is_limited(j.queue) THEN CASE j.place WHEN 2 THEN 2 ELSE 1 END
                    ELSE 2
                END,
                parked_for = CASE WHEN new_run_at <= now() AND j.limit_key IS NOT NULL AND j.state = 0 THEN 2 END
            WHERE j.id = holder.job_id AND j.state IN (0, 1)
            RETURNING j.queue INTO holder_queue;
            PERFORM haulage.wake_promoter(new_run_at);
            IF new_run_at <= now() AND holder_queue IS NOT NULL THEN
                PERFORM haulage.wake(holder_queue);
            END IF;
        END IF;
        id := holder.job_id; duplicate := true; RETURN;
    END LOOP;
    RAISE EXCEPTION 'the unique key % changed hands 100 times while this job was being enqueued', wanted
        USING ERRCODE = 'serialization_failure', HINT = 'repeat the transaction';
END $$;

-- For programs that know of no revisions: what they store has none.
CREATE OR REPLACE FUNCTION haulage.reserve_unique_key(
    wanted uuid, window_s double precision, on_conflict smallint, new_args jsonb, new_run_at timestamptz,
    OUT id bigint, OUT duplicate boolean
)
LANGUAGE sql AS $$
    SELECT r.id, r.duplicate
    FROM haulage.reserve_unique_key(wanted, window_s, on_conflict, new_args, new_run_at, 0::smallint) AS r
$$;

-- As before, and args that replace others bring their revision with them.
CREATE OR REPLACE FUNCTION haulage.enqueue(
    kind           text,
    args           jsonb            DEFAULT '{}',
    queue          text             DEFAULT 'default',
    priority       int              DEFAULT 1,           -- 0 urgent, 1 normal, 2 low, 3 bulk
    run_at         timestamptz      DEFAULT NULL,        -- not before; or give delay
    delay          interval         DEFAULT NULL,
    max_attempts   int              DEFAULT 25,
    timeout        interval         DEFAULT '15 minutes',-- of one attempt; NULL: no limit
    tags           text[]           DEFAULT NULL,
    meta           jsonb            DEFAULT NULL,
    unique_key     text             DEFAULT NULL,        -- equal keys of one kind are stored once
    unique_for     interval         DEFAULT NULL,        -- NULL: while unfinished
    on_conflict    text             DEFAULT 'keep',      -- keep, replace args, reschedule
    parent_id      bigint           DEFAULT NULL,
    limit_key      text             DEFAULT NULL,        -- jobs with this key share its limits; see haulage.key_limits
    kind_revision  int              DEFAULT 0,
    traceparent    text             DEFAULT NULL,        -- W3C; a broken one starts a new trace
    tracestate     text             DEFAULT NULL,
    baggage        text             DEFAULT NULL,
    trace_relation text             DEFAULT NULL,        -- auto (NULL), parent, link, none
    origin         jsonb            DEFAULT NULL,
    OUT job_id     bigint,
    OUT duplicate  boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at timestamptz := coalesce(run_at, now() + delay, now());
    key uuid := haulage.unique_key(kind, unique_key);
    trace text[] := regexp_match(traceparent, '^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})');
    timeout_ms double precision := extract(epoch FROM timeout) * 1000;
    relation smallint := array_position(ARRAY['parent', 'link', 'none'], trace_relation);
    conflict smallint := array_position(ARRAY['keep', 'replace args', 'reschedule'], on_conflict) - 1;
    problem text;
    hint text;
BEGIN
    CASE
        WHEN kind IS NULL OR kind !~ '^[A-Za-z0-9_.:/-]{1,128}$' THEN
            problem := format('the kind %L is not a valid name', kind);
            hint := 'use 1 to 128 of the characters A-Z a-z 0-9 _ . : / -';
        WHEN queue IS NULL OR queue !~ '^[A-Za-z0-9_.:/-]{1,128}$' THEN
            problem := format('the queue %L is not a valid name', queue);
            hint := 'use 1 to 128 of the characters A-Z a-z 0-9 _ . : / -';
        WHEN args IS NULL THEN
            problem := 'the args are NULL';
            hint := 'pass a JSON value; a job without arguments takes {} or null as JSON';
        WHEN octet_length(args::text) > 1048576 THEN
            problem := format('the args of the kind %L are %s bytes long, over the limit of 1048576', kind, octet_length(args::text));
            hint := 'store the data in a table and pass its key';
        WHEN jsonb_path_exists(args, 'strict $.**{101}') THEN
            problem := format('the args of the kind %L are nested deeper than 100 levels', kind);
            hint := 'flatten them, or store the data in a table and pass its key';
        WHEN jsonb_path_exists(args, 'lax $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') THEN
            problem := format('the args of the kind %L hold a number that does not fit a 64-bit float', kind);
            hint := 'pass it as a string';
        WHEN jsonb_path_exists(meta, 'strict $.**{101}') THEN
            problem := 'the meta is nested deeper than 100 levels';
            hint := 'flatten it, or store the data in a table and pass its key';
        WHEN jsonb_path_exists(meta, 'lax $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') THEN
            problem := 'the meta holds a number that does not fit a 64-bit float';
            hint := 'pass it as a string';
        WHEN octet_length(meta::text) > 65536 THEN
            problem := format('the meta is %s bytes long, over the limit of 65536', octet_length(meta::text));
            hint := 'store the data in a table and pass its key';
        WHEN priority IS NULL OR priority NOT BETWEEN 0 AND 3 THEN
            problem := format('the priority %s is out of range', coalesce(priority::text, 'NULL'));
            hint := 'use 0 (urgent), 1 (normal), 2 (low) or 3 (bulk)';
        WHEN max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 32767 THEN
            problem := format('max_attempts %s is out of range', coalesce(max_attempts::text, 'NULL'));
            hint := 'use 1 to 32767';
        WHEN run_at IS NOT NULL AND delay IS NOT NULL THEN
            problem := 'both run_at and delay are given';
            hint := 'give one of them';
        WHEN delay < interval '0' OR delay > interval '36525 days' THEN
            problem := format('the delay %s is out of range', delay);
            hint := 'use 0 to 36525 days';
        WHEN NOT isfinite(at) OR at >= '10000-01-01 00:00:00+00' THEN
            problem := format('the run_at %s is out of range', at);
            hint := 'use a time before the year 10000';
        WHEN timeout IS NOT NULL AND (timeout_ms < 1 OR timeout_ms > 2147483647) THEN
            problem := format('the timeout %s is out of range', timeout);
            hint := 'use 1 ms to 24 days, or NULL for no limit';
        WHEN cardinality(tags) > 32 OR EXISTS (SELECT FROM unnest(tags) AS t WHERE t IS NULL OR length(t) NOT BETWEEN 1 AND 128) THEN
            problem := 'the tags are out of range';
            hint := 'use at most 32 tags of 1 to 128 characters';
        WHEN unique_for IS NOT NULL AND (unique_key IS NULL OR unique_for <= interval '0' OR unique_for > interval '36525 days') THEN
            problem := format('the unique_for %s is out of range or has no unique_key', unique_for);
            hint := 'use a time up to 36525 days, together with a unique_key';
        WHEN conflict IS NULL THEN
            problem := format('on_conflict %L is unknown', on_conflict);
            hint := 'use keep, replace args or reschedule';
        WHEN relation IS NULL AND trace_relation IS NOT NULL AND trace_relation <> 'auto' THEN
            problem := format('the trace_relation %L is unknown', trace_relation);
            hint := 'use auto, parent, link or none';
        WHEN kind_revision IS NULL OR kind_revision NOT BETWEEN 0 AND 32767 THEN
            problem := format('the kind_revision %s is out of range', coalesce(kind_revision::text, 'NULL'));
            hint := 'use 0 to 32767';
        WHEN limit_key !~ '^[A-Za-z0-9_.:/@-]{1,128}$' OR limit_key LIKE 'haulage-%' THEN
            problem := format('the limit key %L is not valid', limit_key);
            hint := 'use 1 to 128 of the characters A-Z a-z 0-9 _ . : / @ -, not beginning with haulage-';
        ELSE
            NULL;
    END CASE;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value', HINT = hint;
    END IF;

    duplicate := false;
    IF key IS NOT NULL THEN
        SELECT r.id, r.duplicate INTO job_id, duplicate
        FROM haulage.reserve_unique_key(key, extract(epoch FROM unique_for), conflict, args, at, kind_revision::smallint) AS r;
        IF duplicate THEN
            RETURN;
        END IF;
    ELSE
        job_id := nextval('haulage.live_jobs_id_seq');
    END IF;

    INSERT INTO haulage.live_jobs AS j (
        id, run_at, eligible_at, state, place, parked_for, limit_key, queue, kind, args, priority, max_attempts, timeout_ms, tags, meta, unique_key,
        parent_id, root_id, kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin
    ) VALUES (
        job_id, at, at,
        CASE WHEN at > now() THEN 0 WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN at > now() THEN 0 WHEN limit_key IS NOT NULL THEN 3 ELSE 1 END,
        CASE WHEN at <= now() AND limit_key IS NOT NULL THEN 2 END, limit_key,
        queue, kind, args, priority, max_attempts, timeout_ms::int, tags, meta, key,
        parent_id, coalesce((SELECT p.root_id FROM haulage.live_jobs AS p WHERE p.id = parent_id), parent_id), kind_revision,
        trace[1]::uuid, ('x' || trace[2])::bit(64)::bigint, ('x' || trace[3])::bit(8)::int, left(tracestate, 512), left(baggage, 1024),
        relation, origin
    );
    IF at > now() OR limit_key IS NOT NULL THEN
        PERFORM haulage.wake_promoter(at);
    ELSE
        PERFORM haulage.wake(queue);
    END IF;
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (8, 3);
