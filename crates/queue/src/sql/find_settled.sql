-- Of the attempts whose settling brought no answer: which are still ours to settle (their row was locked, or the statement
-- never ran), and which did finish under our lease (the answer was lost). Of the rest those whose job is in neither table, which of
-- a job that leaves no history says that it was completed or deleted; the others have lost their lease. If that job is in the
-- history, another attempt has ended it.
-- $1 ids  $2 leases, parallel. Index: the primary keys.
SELECT f.id, f.lease, j.id IS NOT NULL AS ours, EXISTS (SELECT FROM haulage.finished_jobs AS h WHERE h.id = f.id AND h.lease = f.lease) AS finished,
    NOT EXISTS (SELECT FROM haulage.live_jobs AS any_lease WHERE any_lease.id = f.id)
        AND NOT EXISTS (SELECT FROM haulage.finished_jobs AS any_lease WHERE any_lease.id = f.id OFFSET 0) AS gone
FROM unnest($1::bigint[], $2::bigint[]) AS f (id, lease)
LEFT JOIN LATERAL (
    SELECT l.id
    FROM haulage.live_jobs AS l
    WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
    OFFSET 0 -- looked up one by one whatever the statistics say
) AS j ON true
