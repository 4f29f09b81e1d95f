-- Errors, those last seen first. $1 only of this kind, NULL all  $2, $3 only those before this time and fingerprint, NULL all
-- $4 at most so many. Index: errors_last; of a kind, which has 200 at most, errors_kind.
SELECT
    e.fingerprint, e.kind, e.error_class, e.message, e.queues, e.attempts, e.first_at, e.last_at, e.first_version, e.first_job, e.last_job
FROM haulage.errors AS e
WHERE ($1::text IS NULL OR e.kind = $1::text)
  AND (e.last_at, e.fingerprint) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::text, ''))
ORDER BY e.last_at DESC, e.fingerprint DESC
LIMIT $4::int
