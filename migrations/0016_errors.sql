-- Errors by what they have in common: the fingerprint of a job's last error, and what is known of each. Safe beside programs from version 3
-- on, which write none of it. It adds a column to haulage.live_jobs and haulage.finished_jobs, for which it locks both against everybody
-- for an instant, and an index of dead and cancelled jobs, for which it reads them: about a second for two million, in which results
-- wait. It waits for each lock 2 s at most: beside a longer transaction, such as a pg_dump, it fails, changes nothing, and can be repeated.

-- One row for each error that attempts have failed with: same kind, same class, and the same message but for numbers and ids.
CREATE TABLE haulage.errors (
    fingerprint   text        PRIMARY KEY,             -- 16 hex digits; crates/queue/src/errors/fingerprint.rs computes it
    kind          text        NOT NULL,
    error_class   text        NOT NULL,
    message       text        NOT NULL,                -- of the last attempt that told, cut
    queues        text[]      NOT NULL,                -- up to 20
    attempts      bigint      NOT NULL,
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    first_version text        NOT NULL,                -- of Haulage in the worker that met it first
    first_job     bigint      NOT NULL,
    last_job      bigint      NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX errors_last ON haulage.errors (last_at, fingerprint);
CREATE INDEX errors_kind ON haulage.errors (kind, last_at);

-- How many attempts in each hour.
CREATE TABLE haulage.error_hours (
    fingerprint text        NOT NULL,
    hour        timestamptz NOT NULL,
    attempts    bigint      NOT NULL,
    PRIMARY KEY (fingerprint, hour)
) WITH (fillfactor = 50);
CREATE INDEX error_hours_hour ON haulage.error_hours (hour);

-- Adds failed attempts. Arrays, parallel; queues as arrays of JSON. At most 200 errors of a kind are known: a message that is different each
-- time fills up its own kind and hides nothing else. False: somebody has locked a row or a table for longer than 50 ms, and nothing is
-- stored; other duties wait for the same connection.
CREATE FUNCTION haulage.save_errors(
    prints text[], of_kinds text[], classes text[], messages text[], of_queues text[], counts bigint[], jobs bigint[], version text
) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    -- What is lost in a server crash is a count; the attempts themselves are stored with the results.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.errors AS e (
        fingerprint, kind, error_class, message, queues, attempts, first_at, last_at, first_version, first_job, last_job
    )
    SELECT
        u.fingerprint, u.kind, u.class, u.message, ARRAY (SELECT q.name FROM jsonb_array_elements_text(u.queues::jsonb) AS q (name) ORDER BY 1),
        u.attempts, now(), now(), version, u.job, u.job
    FROM unnest(prints, of_kinds, classes, messages, of_queues, counts, jobs)
        AS u (fingerprint, kind, class, message, queues, attempts, job)
    WHERE EXISTS (SELECT FROM haulage.errors AS k WHERE k.fingerprint = u.fingerprint)
       OR (SELECT count(*) FROM (SELECT FROM haulage.errors AS k WHERE k.kind = u.kind LIMIT 200) AS known) < 200
    -- Everywhere in one order, or two processes could wait for each other.
    ORDER BY u.fingerprint
    ON CONFLICT (fingerprint) DO UPDATE
    SET message = excluded.message, attempts = e.attempts + excluded.attempts, last_at = excluded.last_at, last_job = excluded.last_job,
        queues = CASE
            WHEN e.queues @> excluded.queues THEN e.queues
            ELSE ARRAY (SELECT DISTINCT q.name FROM unnest(e.queues || excluded.queues) AS q (name) ORDER BY 1 LIMIT 20)
        END;
    INSERT INTO haulage.error_hours AS h (fingerprint, hour, attempts)
    SELECT u.fingerprint, date_bin('1 hour', now(), 'epoch'::timestamptz), u.attempts
    FROM unnest(prints, counts) AS u (fingerprint, attempts)
    WHERE EXISTS (SELECT FROM haulage.errors AS k WHERE k.fingerprint = u.fingerprint)
    ORDER BY 1
    ON CONFLICT (fingerprint, hour) DO UPDATE
    SET attempts = h.attempts + excluded.attempts;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (16, 3);
SET LOCAL lock_timeout = '2s';
-- Of the last attempt that failed; of a finished job only if it died of it.
ALTER TABLE haulage.live_jobs ADD COLUMN fingerprint text;
ALTER TABLE haulage.finished_jobs ADD COLUMN fingerprint text;
CREATE INDEX finished_failed_fingerprint ON haulage.finished_failed (fingerprint, id) WHERE fingerprint IS NOT NULL;
SET LOCAL lock_timeout = DEFAULT;
