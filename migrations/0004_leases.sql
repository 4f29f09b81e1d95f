-- The ids of a lease are stored as they are. Safe beside anything. It locks haulage.leases against everybody (ACCESS EXCLUSIVE) for
-- an instant and waits for that 2 s at most: beside a longer transaction that has read or written leases, such as a pg_dump, it
-- fails, changes nothing, and can be repeated.
--
-- The 8 kB of a batch of a thousand were compressed by every claim, for a row that lives for milliseconds: 12 % of the claim's CPU.
SET LOCAL lock_timeout = '2s';
ALTER TABLE haulage.leases ALTER COLUMN ids SET STORAGE EXTERNAL;
SET LOCAL lock_timeout = DEFAULT;
INSERT INTO haulage.compatibility (version, runs_with) VALUES (4, 3);
