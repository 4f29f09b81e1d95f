-- What was answered to requests that a program may repeat, so that a repeat does nothing and is answered alike. Safe beside programs from
-- version 3 on. Locks no table.
INSERT INTO haulage.compatibility (version, runs_with) VALUES (17, 3);

-- A row is written in the transaction of the deed, so it is there if and only if that was done. Workers remove it after a day.
CREATE TABLE haulage.requests (
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 128),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),    -- of whoever asks
    request bytea NOT NULL,                                     -- hash of method, path and body: another one must not use the same key
    status smallint NOT NULL DEFAULT 0,
    answer text NOT NULL DEFAULT '',                            -- JSON as it was sent: secrets are hidden in it
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (who, key)
);
CREATE INDEX requests_answered_at ON haulage.requests (answered_at);
