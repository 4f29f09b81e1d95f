-- Stores an act on many jobs; nothing is done yet. It will not touch jobs that are enqueued or that finish later.
-- $1 who  $2 reason  $3 verb  $4 its parameters, JSON text  $5 filter, JSON text
INSERT INTO haulage.operations (who, reason, verb, params, filter, up_to)
SELECT $1::text, $2::text, $3::text, $4::text::jsonb, $5::text::jsonb, s.last_value
FROM haulage.live_jobs_id_seq AS s
RETURNING
    id, who, reason, verb, params::text AS params, filter::text AS filter, state, up_to, cursor, done, skipped::text AS skipped, failed::text AS failed,
    started_at, stepped_at, ended_at
