-- Enqueueing from SQL: the public function haulage.enqueue() and what it shares with the Rust client. Safe beside anything.

-- Wakes the workers that sleep on a queue, and costs nearly nothing while none does: NOTIFY serialises commits, so it is sent
-- only when the exclusive try fails, which says that a sleeper holds the shared lock. Sent at commit; polling is the backstop.
CREATE FUNCTION haulage.wake(queue text) RETURNS void
LANGUAGE sql AS $$
    SELECT CASE
        WHEN CASE WHEN pg_try_advisory_lock(1751217516, hashtext(queue)) THEN NOT pg_advisory_unlock(1751217516, hashtext(queue)) ELSE true END
        THEN pg_notify('haulage_wake', queue)
    END
$$;

-- The same for the workers that sleep until the next scheduled job is due. They look once a second anyway, so only a job due
-- within two seconds is worth a wake-up.
CREATE FUNCTION haulage.wake_promoter(due timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT CASE
        WHEN due > now() + interval '2 seconds' THEN NULL
        WHEN CASE WHEN pg_try_advisory_lock(1751217517, 0) THEN NOT pg_advisory_unlock(1751217517, 0) ELSE true END
        THEN pg_notify('haulage_due', '')
    END
$$;

-- The stored form of a unique key: 128 bits of SHA-256 over kind, line feed, key text. The Rust client computes the same.
CREATE FUNCTION haulage.unique_key(kind text, key text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(substr(sha256(convert_to(kind || E'\n' || key, 'UTF8')), 1, 16), 'hex')::uuid
$$;

-- Takes a unique key for a job about to be inserted, or finds who holds it. Returns the id to insert under, or the holder's
-- id with duplicate = true. The insert into the primary key is what makes two concurrent commits give one job: the second
-- waits for the first. `window_s` NULL: while unfinished. `on_conflict` 0 keep, 1 replace args, 2 reschedule, 3 both; these
-- change a holder that has not started and leave a running one alone.
CREATE FUNCTION haulage.reserve_unique_key(
    wanted uuid, window_s double precision, on_conflict smallint, new_args jsonb, new_run_at timestamptz,
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

        -- A row that a claim might be looking at right now goes to place 2, or the claim's lower bound could pass it for good.
        IF on_conflict & 1 = 1 THEN
            UPDATE haulage.live_jobs AS j SET args = new_args, place = CASE j.state WHEN 1 THEN 2 ELSE j.place END
            WHERE j.id = holder.job_id AND j.state IN (0, 1, 3);
        END IF;
        IF on_conflict & 2 = 2 THEN
            UPDATE haulage.live_jobs AS j
            SET run_at = new_run_at, eligible_at = new_run_at,
                state = CASE WHEN new_run_at > now() THEN 0 ELSE 1 END,
                place = CASE WHEN new_run_at > now() THEN 0 ELSE 2 END
            WHERE j.id = holder.job_id AND j.state IN (0, 1)
            RETURNING j.queue INTO holder_queue;
            IF new_run_at > now() THEN
                PERFORM haulage.wake_promoter(new_run_at);
            ELSIF holder_queue IS NOT NULL THEN
                PERFORM haulage.wake(holder_queue);
            END IF;
        END IF;
        id := holder.job_id; duplicate := true; RETURN;
    END LOOP;
    RAISE EXCEPTION 'the unique key % changed hands 100 times while this job was being enqueued', wanted
        USING ERRCODE = 'serialization_failure', HINT = 'repeat the transaction';
END $$;

-- Enqueues one job and returns its id; `duplicate` is true when the unique key was held and the id is the holder's.
-- The contract for psql and other languages: parameters are only ever added, always with a default; call it by name.
--
--   SELECT job_id FROM haulage.enqueue('send_email', '{"to": "a@example.org"}', queue => 'mail', delay => '5 minutes');
CREATE FUNCTION haulage.enqueue(
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
    limit_key      text             DEFAULT NULL,        -- reserved: refused until limits exist
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
        WHEN limit_key IS NOT NULL THEN
            problem := 'limit keys are not supported by this version of the schema';
            hint := 'leave limit_key out';
        ELSE
            NULL;
    END CASE;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value', HINT = hint;
    END IF;

    duplicate := false;
    IF key IS NOT NULL THEN
        SELECT r.id, r.duplicate INTO job_id, duplicate
        FROM haulage.reserve_unique_key(key, extract(epoch FROM unique_for), conflict, args, at) AS r;
        IF duplicate THEN
            RETURN;
        END IF;
    ELSE
        job_id := nextval('haulage.live_jobs_id_seq');
    END IF;

    INSERT INTO haulage.live_jobs AS j (
        id, run_at, eligible_at, state, place, queue, kind, args, priority, max_attempts, timeout_ms, tags, meta, unique_key,
        parent_id, root_id, kind_revision, trace_id, span_id, trace_flags, tracestate, baggage, trace_relation, origin
    ) VALUES (
        job_id, at, at, CASE WHEN at > now() THEN 0 ELSE 1 END, CASE WHEN at > now() THEN 0 ELSE 1 END,
        queue, kind, args, priority, max_attempts, timeout_ms::int, tags, meta, key,
        parent_id, coalesce((SELECT p.root_id FROM haulage.live_jobs AS p WHERE p.id = parent_id), parent_id), kind_revision,
        trace[1]::uuid, ('x' || trace[2])::bit(64)::bigint, ('x' || trace[3])::bit(8)::int, left(tracestate, 512), left(baggage, 1024),
        relation, origin
    );
    IF at > now() THEN
        PERFORM haulage.wake_promoter(at);
    ELSE
        PERFORM haulage.wake(queue);
    END IF;
END $$;
