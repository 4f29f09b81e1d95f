-- Schedules as rows, and when each has fired. Safe beside programs of version 4, which know nothing of them.

-- Declared by the service that owns it when its workers start; paused and run by operators.
CREATE TABLE haulage.schedules (
    name         text        PRIMARY KEY,
    owner        text        NOT NULL,               -- the service that declares it; nobody else may change or drop it
    cron         text        NOT NULL,
    zone         text        NOT NULL,               -- IANA name
    missed       smallint    NOT NULL,               -- 0 skip   1 fire one   2 fire all of the last missed_for_s
    missed_for_s int,
    overlap      smallint    NOT NULL,               -- 0 allow   1 skip while the last job is unfinished   2 at most one waits
    jitter_ms    int         NOT NULL,
    kind         text        NOT NULL,
    queue        text        NOT NULL,
    args         jsonb       NOT NULL,
    priority     smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    timeout_ms   int,
    tags         text[],
    meta         jsonb,
    limit_key    text,
    next_at      timestamptz NOT NULL,               -- the first instant that nobody has looked at; 'infinity': none is left
    last_at      timestamptz,                        -- the last instant that made a job
    last_job     bigint,
    paused_at    timestamptz,
    paused_until timestamptz,                        -- NULL: until somebody resumes it
    paused_by    text,
    paused_why   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedules_missed CHECK (missed BETWEEN 0 AND 2 AND (missed_for_s IS NOT NULL) = (missed = 2)),
    CONSTRAINT schedules_overlap CHECK (overlap BETWEEN 0 AND 2),
    CONSTRAINT schedules_jitter CHECK (jitter_ms >= 0),
    CONSTRAINT schedules_paused CHECK (paused_at IS NOT NULL OR (paused_until IS NULL AND paused_by IS NULL AND paused_why IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX schedules_next ON haulage.schedules (next_at);

-- One row for each instant that a schedule has come to: this key is what makes it fire once in the whole fleet.
CREATE TABLE haulage.fires (
    schedule text        NOT NULL,
    instant  timestamptz NOT NULL,
    job_id   bigint,                                 -- NULL: skipped, because the job before had not finished
    fired_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule, instant)
);
CREATE INDEX fires_fired_at ON haulage.fires (fired_at);

INSERT INTO haulage.compatibility (version, runs_with) VALUES (5, 3);
