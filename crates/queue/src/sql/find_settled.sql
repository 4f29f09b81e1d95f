-- Of the attempts whose settling brought no answer: which are still ours to settle (their row was locked, or the statement
-- never ran), and which did finish under our lease (the answer was lost). The rest have lost their lease.
-- $1 ids  $2 leases, parallel. Index: the primary keys.
SELECT f.id, f.lease, j.id IS NOT NULL AS ours, EXISTS (SELECT FROM haulage.finished_jobs AS h WHERE h.id = f.id AND h.lease = f.lease) AS finished
FROM unnest($1::bigint[], $2::bigint[]) AS f (id, lease)
LEFT JOIN LATERAL (
    SELECT l.id
    FROM haulage.live_jobs AS l
    WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2
    OFFSET 0 -- looked up one by one whatever the statistics say
) AS j ON true
