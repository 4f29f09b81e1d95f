-- Whether an id was ever handed out, and who deleted its job. $1 id. Index: audit_jobs.
SELECT $1::bigint <= s.last_value AS handed_out, a.who, a.at, a.reason
FROM haulage.live_jobs_id_seq AS s
LEFT JOIN LATERAL (
    SELECT u.who, u.at, u.reason
    FROM haulage.audit AS u
    WHERE u.jobs @> ARRAY[$1::bigint] AND u.verb = 'delete'
    ORDER BY u.id DESC
    LIMIT 1
) AS a ON true
