-- What the checker reads: every change of a job's row, in the transaction that makes it, so that what a rollback or a crash of the server
-- forgets is forgotten here too. Only in the database of a fault run.
CREATE SCHEMA faults;

-- What handlers write in the transaction that completes their job.
CREATE TABLE faults.effects (
    job     bigint      NOT NULL,
    k       text        NOT NULL,
    attempt int         NOT NULL,
    process text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows of live_jobs and finished_jobs as they became, and of what they were what a check needs. Of one job they are in the order in which
-- they happened: its row's lock is held when n is drawn.
CREATE TABLE faults.changes (
    n            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid          bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    finished     boolean     NOT NULL,                 -- whose row: of the history, or a live one
    op           text        NOT NULL,
    job          bigint      NOT NULL,
    k            text,
    kind         text        NOT NULL,
    was          smallint,                             -- its state
    state        smallint,
    was_for      smallint,                             -- why it was parked
    parked_for   smallint,
    was_lease    bigint,
    lease        bigint,
    was_attempt  int,
    attempt      int,
    was_failures smallint,
    failures     smallint,
    was_crashes  smallint,
    crashes      smallint,
    max_attempts smallint    NOT NULL,
    run_at       timestamptz NOT NULL,
    limit_key    text,
    unique_key   uuid,
    worker       bigint,                               -- who finished it
    holder_lives boolean                               -- whether the worker of the lease that it has lost is alive
);

CREATE TABLE faults.leases (
    id     bigint NOT NULL,
    worker bigint NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON faults.leases (id);

CREATE TABLE faults.workers (
    id   bigint PRIMARY KEY,
    name text NOT NULL
);

CREATE FUNCTION faults.note_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults.changes (
        finished, op, job, k, kind, was, state, was_for, parked_for, was_lease, lease, was_attempt, attempt, was_failures, failures,
        was_crashes, crashes, max_attempts, run_at, limit_key, unique_key, holder_lives
    ) VALUES (
        false, TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.args, OLD.args) ->> 'k', coalesce(NEW.kind, OLD.kind), OLD.state, NEW.state,
        OLD.parked_for, NEW.parked_for, OLD.lease, NEW.lease, OLD.attempt, NEW.attempt, OLD.failures, NEW.failures, OLD.crashes,
        NEW.crashes, coalesce(NEW.max_attempts, OLD.max_attempts), coalesce(NEW.run_at, OLD.run_at), coalesce(NEW.limit_key, OLD.limit_key),
        coalesce(NEW.unique_key, OLD.unique_key),
        -- The row of the lease may be gone by now.
        CASE WHEN OLD.state = 2 THEN EXISTS (
            SELECT FROM faults.leases AS l JOIN haulage.workers AS w ON w.id = l.worker WHERE l.id = OLD.lease AND w.dead_at IS NULL
        ) END
    );
    RETURN NULL;
END $$;
CREATE TRIGGER faults AFTER INSERT OR UPDATE OR DELETE ON haulage.live_jobs FOR EACH ROW EXECUTE FUNCTION faults.note_live();

CREATE FUNCTION faults.note_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults.changes (
        finished, op, job, k, kind, was, state, lease, attempt, failures, crashes, max_attempts, run_at, limit_key, unique_key, worker
    ) VALUES (
        true, TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.args, OLD.args) ->> 'k', coalesce(NEW.kind, OLD.kind), OLD.state, NEW.state,
        NEW.lease, coalesce(NEW.attempt, OLD.attempt), coalesce(NEW.failures, OLD.failures), coalesce(NEW.crashes, OLD.crashes),
        coalesce(NEW.max_attempts, OLD.max_attempts), coalesce(NEW.run_at, OLD.run_at), coalesce(NEW.limit_key, OLD.limit_key),
        coalesce(NEW.unique_key, OLD.unique_key), NEW.worker
    );
    RETURN NULL;
END $$;
CREATE TRIGGER faults AFTER INSERT OR UPDATE OR DELETE ON haulage.finished_jobs FOR EACH ROW EXECUTE FUNCTION faults.note_finished();

CREATE FUNCTION faults.note_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults.leases (id, worker) VALUES (NEW.id, NEW.worker);
    RETURN NULL;
END $$;
CREATE TRIGGER faults AFTER INSERT ON haulage.leases FOR EACH ROW EXECUTE FUNCTION faults.note_lease();

CREATE FUNCTION faults.note_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults.workers (id, name) VALUES (NEW.id, NEW.name) ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER faults AFTER INSERT ON haulage.workers FOR EACH ROW EXECUTE FUNCTION faults.note_worker();
