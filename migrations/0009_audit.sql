-- The audit also tells of queues, keys and schedules, and is pruned; a rate waits for as long as a partner said; and the columns that
-- revisions (0008) and raised rates need. Safe beside programs from version 3 on. Whoever writes to the audit waits from here on until the
-- migration has ended, jobs do not. At the end it locks haulage.schedules, haulage.key_rates and haulage.workers against everybody (ACCESS
-- EXCLUSIVE) for an instant. It waits for each lock 2 s at most: beside a longer transaction that has written to the audit, or has read or
-- written one of the three, such as a pg_dump, it fails, changes nothing, and can be repeated.
SET LOCAL lock_timeout = '2s';

-- "What was done to this queue?": target is 'queue mail', 'key tenant:42', 'schedule nightly-digest', as before 'job 42', 'operation 7'.
CREATE INDEX audit_target ON haulage.audit (target, id);
CREATE INDEX audit_at ON haulage.audit (at);
CREATE INDEX operations_ended_at ON haulage.operations (ended_at) WHERE ended_at IS NOT NULL;

-- Somebody was told "not before so many seconds" while it did a job of this queue and this key (NULL: of none): those of them that have a
-- rate let nothing in until then, an hour at most. Arrays, parallel. After that they go on at the rate's step: the burst is used up, for
-- the partner has counted otherwise than we did.
--
-- An admission that is under way would write its own full_at over this one, hence its locks. They are waited for about a second, all
-- together; returns whose were not had. The keys come last: their lock is the whole fleet's.
CREATE FUNCTION haulage.hold_rates(queues text[], keys text[], seconds double precision[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    held record;
    given_up text[] := '{}';
    patience timestamptz := clock_timestamp() + interval '1 second';
BEGIN
    -- One lost in a server crash only means that the partner says it again.
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR held IN
        SELECT h.queue, least(max(h.s), 3600) AS s
        FROM unnest(queues, seconds) AS h (queue, s)
        WHERE EXISTS (SELECT FROM haulage.queues AS q WHERE q.name = h.queue AND q.rate_count IS NOT NULL)
        GROUP BY h.queue
        ORDER BY hashtext(h.queue)
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', greatest(1, extract(epoch FROM patience - clock_timestamp()) * 1000)::int::text, true);
            PERFORM pg_advisory_xact_lock(1751217519, hashtext(held.queue));
            UPDATE haulage.queues AS q
            SET full_at = greatest(q.full_at, haulage.full_until(held.s, q.rate_count, q.rate_ms, q.rate_burst))
            WHERE q.name = held.queue AND q.rate_count IS NOT NULL;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            given_up := given_up || ('queue ' || held.queue);
        END;
    END LOOP;

    -- All or none: their rows are written under the one lock, and nobody else holds one for longer than a statement. A part that can be
    -- undone for each of a thousand keys would cost everybody's snapshots.
    BEGIN
        PERFORM set_config('lock_timeout', greatest(1, extract(epoch FROM patience - clock_timestamp()) * 1000)::int::text, true);
        FOR held IN
            SELECT h.key, least(max(h.s), 3600) AS s, lim.rate_count, lim.rate_ms, lim.rate_burst, lim.updated_at
            FROM unnest(keys, seconds) AS h (key, s),
            LATERAL (
                -- Its own limit, or that of its class, as in admit_keys.
                SELECT l.rate_count, l.rate_ms, l.rate_burst, l.updated_at
                FROM haulage.key_limits AS l
                WHERE l.key = ANY (ARRAY[h.key, split_part(h.key, ':', 1) || ':*'])
                ORDER BY l.key = h.key DESC
                LIMIT 1
            ) AS lim
            WHERE h.key IS NOT NULL AND lim.rate_count IS NOT NULL
            GROUP BY h.key, lim.rate_count, lim.rate_ms, lim.rate_burst, lim.updated_at
            ORDER BY h.key
        LOOP
            PERFORM pg_advisory_xact_lock(1751217518, 3);
            INSERT INTO haulage.key_rates AS r (key, full_at, limited_at)
            VALUES (held.key, haulage.full_until(held.s, held.rate_count, held.rate_ms, held.rate_burst), held.updated_at)
            ON CONFLICT (key) DO UPDATE
            SET full_at = CASE
                    WHEN r.limited_at <> excluded.limited_at THEN excluded.full_at
                    ELSE greatest(r.full_at, excluded.full_at)
                END,
                limited_at = excluded.limited_at;
        END LOOP;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        given_up := given_up || 'the keys'::text;
    END;
    RETURN given_up;
END $$;

-- The full_at of a rate of which the next may start in s seconds. The part of the burst ends at 100 years: more is no time any more.
CREATE FUNCTION haulage.full_until(s double precision, rate_count int, rate_ms int, rate_burst int) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT now() + make_interval(secs => s + least((rate_burst - 1) * (rate_ms / 1000.0::double precision) / rate_count, 3e9))
$$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (9, 3);

-- Last, because until the migration has ended everybody waits for these tables, for workers above all: each claim and each heartbeat.
ALTER TABLE haulage.schedules ADD COLUMN kind_revision smallint NOT NULL DEFAULT 0;
-- The updated_at of the limit that full_at was reckoned by: it says nothing of another one. NULL: of a version that had no word of it.
ALTER TABLE haulage.key_rates ADD COLUMN limited_at timestamptz;
ALTER TABLE haulage.workers ADD COLUMN revisions smallint[];    -- parallel to kinds; NULL: of a version that takes every revision
SET LOCAL lock_timeout = DEFAULT;
