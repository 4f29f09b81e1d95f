-- Workers that somebody has told to claim nothing more. Safe beside programs from version 3 on, which do not listen to it. Locks no table.
INSERT INTO haulage.compatibility (version, runs_with) VALUES (18, 3);

-- Not columns of haulage.workers: who quiets a worker in a transaction that stays open would hold its row, and its heartbeat would wait.
-- No foreign key for the same reason: a worker that stops would wait. Rows of workers that are gone are removed with what else is left.
CREATE TABLE haulage.quiet_workers (
    worker bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL CHECK (length(by) BETWEEN 1 AND 128),
    why text,
    resumed_at timestamptz      -- not quiet any more: until it hears of that it takes nothing, and whoever asks is told since when it may
);
