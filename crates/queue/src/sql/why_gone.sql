-- Whether an id lies below one that was handed out, and who deleted its job. $1 id. Index: audit_jobs; the primary keys, backwards.
SELECT
    $1::bigint <= greatest(
        (SELECT j.id FROM haulage.live_jobs AS j ORDER BY j.id DESC LIMIT 1),
        (SELECT f.id FROM haulage.finished_jobs AS f ORDER BY f.id DESC LIMIT 1), 0
    ) AS handed_out,
    a.who, a.at, a.reason
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT u.who, u.at, u.reason
    FROM haulage.audit AS u
    WHERE u.jobs @> ARRAY[$1::bigint] AND u.verb = 'delete'
    ORDER BY u.id DESC
    LIMIT 1
) AS a ON true
