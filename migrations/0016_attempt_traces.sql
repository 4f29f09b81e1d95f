-- The traces that attempts have of their own are written without waiting for anybody, and a story knows when attempts were due. Safe beside
-- programs from version 3 on: a function, and a column that may be NULL.

-- Stores traces that attempts have of their own. Arrays, parallel. False: somebody has locked the table for longer than 50 ms, and nothing
-- is stored; other duties wait for the same connection.
CREATE FUNCTION haulage.save_attempt_traces(trace_ids uuid[], span_ids bigint[], jobs bigint[], attempts int[]) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    -- One lost in a server crash is a trace id that leads nowhere.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO haulage.attempt_traces (trace_id, span_id, job_id, attempt)
    SELECT u.trace_id, u.span_id, u.job_id, u.attempt
    FROM unnest(trace_ids, span_ids, jobs, attempts) AS u (trace_id, span_id, job_id, attempt);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- When an attempt was to run, of one that has moved or ended its job: before it, a job waited for its time, after it for its key and in line.
-- Last of all: results wait for this lock.
SET LOCAL lock_timeout = '2s';
ALTER TABLE haulage.attempts ADD COLUMN due_at timestamptz;
SET LOCAL lock_timeout = DEFAULT;

INSERT INTO haulage.compatibility (version, runs_with) VALUES (16, 3);
