-- How jobs stand, as far as it decides what may be done to them; with the job that holds their unique key if it is another one.
-- $1 ids. Index: the primary keys; one probe a history partition for those that are not live.
WITH live AS MATERIALIZED (
    SELECT id, state, parked_for, queue, priority, run_at, failures, max_attempts, crashes, unique_key
    FROM haulage.live_jobs
    WHERE id = ANY ($1::bigint[])
),
found AS (
    SELECT id, state, parked_for, queue, priority, run_at, failures, max_attempts, crashes, unique_key
    FROM live
    UNION ALL
    SELECT id, state, NULL::smallint, queue, priority, run_at, failures, max_attempts, crashes, unique_key
    FROM haulage.finished_jobs
    WHERE id = ANY (ARRAY (SELECT unnest($1::bigint[]) EXCEPT SELECT id FROM live))
)
SELECT
    f.id, f.state, f.parked_for, f.queue, f.priority, f.run_at, f.failures, f.max_attempts, f.crashes,
    (
        SELECT k.job_id
        FROM haulage.unique_keys AS k
        WHERE k.key = f.unique_key AND k.job_id <> f.id
          AND (k.until > now() OR EXISTS (SELECT FROM haulage.live_jobs AS h WHERE h.id = k.job_id))
    ) AS key_holder
FROM found AS f
