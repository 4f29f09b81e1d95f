-- When queues were paused, resumed, limited and unlimited, oldest first: of each the last acts up to a time. $1 targets: 'queue mail'
-- $2 not after this time  $3 at most so many of a queue
-- Index: audit_target.
SELECT a.target, a.at, a.verb, a.who, a.reason, (a.after ->> 'paused_until')::timestamptz AS paused_until
FROM unnest($1::text[]) AS u (target),
LATERAL (
    SELECT q.id, q.target, q.at, q.verb, q.who, q.reason, q.after
    FROM haulage.audit AS q
    WHERE q.target = u.target AND q.at <= $2::timestamptz AND q.verb IN ('pause', 'resume', 'limit', 'unlimit')
    ORDER BY q.id DESC
    LIMIT $3::bigint
) AS a
ORDER BY a.id
