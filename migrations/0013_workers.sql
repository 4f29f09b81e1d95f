-- What a worker tells of itself to whoever asks why jobs wait: how far its machine's clock is off, and when its listening connection heard
-- itself last. Safe beside programs from version 3 on, which tell neither. It locks haulage.workers against everybody (ACCESS EXCLUSIVE) for
-- an instant and waits for that 2 s at most: beside a longer transaction that has read or written workers, such as a pg_dump, it fails,
-- changes nothing, and can be repeated.
INSERT INTO haulage.compatibility (version, runs_with) VALUES (13, 3);
SET LOCAL lock_timeout = '2s';
ALTER TABLE haulage.workers
    ADD COLUMN clock_offset_ms int,         -- positive: ahead of the database
    ADD COLUMN listens boolean,             -- NULL: of a version that does not say; false: it only polls
    ADD COLUMN heard_at timestamptz;        -- when its listening connection heard its own call last
SET LOCAL lock_timeout = DEFAULT;
