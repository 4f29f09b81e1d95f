-- When an attempt was due, for its story; and what a worker tells of itself to whoever asks why jobs wait. Safe beside programs from version
-- 3 on, which write none of it. It locks haulage.attempts and haulage.workers against everybody (ACCESS EXCLUSIVE) for an instant: results
-- and heartbeats wait meanwhile. It waits for each lock 2 s at most: beside a longer transaction that has read or written one of the two,
-- such as a pg_dump, it fails, changes nothing, and can be repeated.
INSERT INTO haulage.compatibility (version, runs_with) VALUES (14, 3);
SET LOCAL lock_timeout = '2s';
-- Of an attempt that has moved or ended its job: before it, the job waited for its time, after it for its key and in line.
ALTER TABLE haulage.attempts ADD COLUMN due_at timestamptz;
ALTER TABLE haulage.workers
    ADD COLUMN clock_offset_ms int,         -- positive: ahead of the database
    ADD COLUMN listens boolean,             -- NULL: of a version that does not say; false: it only polls
    ADD COLUMN heard_at timestamptz;        -- when its listening connection heard its own call last
SET LOCAL lock_timeout = DEFAULT;
