-- One error. $1 its fingerprint. Index: the primary key.
SELECT
    e.fingerprint, e.kind, e.error_class, e.message, e.queues, e.attempts, e.first_at, e.last_at, e.first_version, e.first_job, e.last_job
FROM haulage.errors AS e
WHERE e.fingerprint = $1::text
