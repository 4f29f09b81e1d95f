-- How many jobs wait, by queue, in each minute, ten minutes and hour: what charts of the depth are drawn from. Safe beside programs from
-- version 3 on, which write none of it. A new table; nothing is read and nobody waits.

-- Written about once a minute by whichever worker is first, off the way of jobs. All three lengths are written at once; a longer stretch
-- keeps the most that was seen in it. A queue in which nothing waits or runs has no row; the one without a name has the sum of all, so it
-- also says that somebody looked.
CREATE TABLE haulage.depths (
    length    smallint    NOT NULL CHECK (length IN (1, 10, 60)),
    queue     text        NOT NULL,
    start     timestamptz NOT NULL,
    available bigint      NOT NULL,
    parked    bigint      NOT NULL,
    running   bigint      NOT NULL,
    at_least  boolean     NOT NULL,                    -- there were more than are counted
    PRIMARY KEY (length, queue, start)
) WITH (fillfactor = 50);

INSERT INTO haulage.compatibility (version, runs_with) VALUES (19, 3);
