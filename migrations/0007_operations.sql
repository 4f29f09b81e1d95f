-- What operators do: the audit, and acts on many jobs at once. Safe beside anything: new tables and a function, nothing is changed.

-- Who did what to which job, written in the same transaction as the deed. Only appended; delete old rows as you like.
CREATE TABLE haulage.audit (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    who       text        NOT NULL,
    verb      text        NOT NULL,                    -- as the command has it: retry, run-now, ...
    target    text        NOT NULL,                    -- 'job 42', 'operation 7'
    jobs      bigint[],                                -- the jobs that were changed
    operation bigint,                                  -- the act on many jobs that this belongs to
    reason    text,
    before    jsonb,
    after     jsonb,                                   -- NULL: it is gone
    CONSTRAINT audit_who CHECK (length(who) BETWEEN 1 AND 128)
);
-- "What was done to this job?", also as one of a thousand.
CREATE INDEX audit_jobs ON haulage.audit USING gin (jobs);
CREATE INDEX audit_operation ON haulage.audit (operation, id) WHERE operation IS NOT NULL;

-- An act on every job that matches a filter, done in batches in the order of the ids. Each batch is a transaction that also moves
-- `cursor`, so whoever goes on, after whatever end of the one before, goes on exactly there. A batch holds the lock of this row,
-- which keeps two drivers apart.
CREATE TABLE haulage.operations (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who        text        NOT NULL,
    reason     text,
    verb       text        NOT NULL,
    params     jsonb       NOT NULL DEFAULT '{}',      -- {"queue": "mail"}, {"priority": "low"}
    filter     jsonb       NOT NULL,
    state      text        NOT NULL DEFAULT 'open',
    up_to      bigint      NOT NULL,                   -- the largest id at the start: later jobs are not touched
    cursor     bigint      NOT NULL DEFAULT 0,         -- every id up to this one has had its turn
    done       bigint      NOT NULL DEFAULT 0,
    skipped    jsonb       NOT NULL DEFAULT '{}',      -- jobs by reason: {"running": 12}
    failed     jsonb       NOT NULL DEFAULT '{}',      -- jobs by what the database said
    started_at timestamptz NOT NULL DEFAULT now(),     -- what finished later is not touched either
    stepped_at timestamptz,
    ended_at   timestamptz,
    CONSTRAINT operations_who CHECK (length(who) BETWEEN 1 AND 128),
    CONSTRAINT operations_state CHECK (state IN ('open', 'done', 'cancelled')),
    CONSTRAINT operations_ended CHECK ((ended_at IS NOT NULL) = (state <> 'open'))
);

-- Takes a unique key for a job that comes back from the history, or for a new one that repeats it. False: another job holds it.
-- A function, because finding the holder after waiting for its transaction needs a new snapshot, as in reserve_unique_key().
CREATE FUNCTION haulage.retake_unique_key(wanted uuid, job bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    holder haulage.unique_keys;
    new_until timestamptz;
BEGIN
    IF wanted IS NULL THEN
        RETURN true;
    END IF;
    FOR round IN 1 .. 100 LOOP
        INSERT INTO haulage.unique_keys (key, job_id, until)
        VALUES (wanted, job, new_until)
        ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            RETURN true;
        END IF;

        SELECT k.key, k.job_id, k.until INTO holder FROM haulage.unique_keys AS k WHERE k.key = wanted;
        CONTINUE WHEN NOT FOUND;  -- released between the two statements: try again

        IF holder.job_id = job THEN
            -- Its own, within a window. Removed and taken anew: an enqueue that thinks the key left over, because the job is not yet
            -- live again, then finds the row gone and looks again.
            DELETE FROM haulage.unique_keys AS k WHERE k.key = wanted AND k.job_id = job;
            new_until := holder.until;
        ELSIF (holder.until IS NULL OR holder.until <= now()) AND NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = holder.job_id) THEN
            -- Left over by a job that is finished.
            DELETE FROM haulage.unique_keys AS k WHERE k.key = wanted AND k.job_id = holder.job_id;
            new_until := NULL;
        ELSE
            RETURN false;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'the unique key % changed hands 100 times while this job was being brought back', wanted
        USING ERRCODE = 'serialization_failure', HINT = 'repeat the transaction';
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (7, 3);
