-- Enqueues one job through the public function, which checks what it is given and says what is wrong. For kinds that are known
-- only by name; a `Job` goes through enqueue_job, which is quicker.
-- $1 kind  $2 args, JSON text  $3 queue  $4 priority  $5 run_at  $6 delay in s  $7 max_attempts  $8 timeout in s, NULL none
-- $9 tags  $10 meta, JSON text  $11 unique key, as text  $12 window in s, NULL while unfinished  $13 what to do on a conflict  $14 limit key
-- $15 traceparent  $16 tracestate  $17 baggage  $18 origin, JSON text  $19 kind revision
-- Locks: the new row; with a unique key its row and, on a conflict, the holder's; the wake's advisory lock is released at once.
-- Index: the primary keys of unique_keys and live_jobs.
SELECT job_id, duplicate
FROM haulage.enqueue(
    kind => $1::text,
    args => $2::text::jsonb,
    queue => $3::text,
    priority => $4::int,
    run_at => $5::timestamptz,
    delay => make_interval(secs => $6::double precision),
    max_attempts => $7::int,
    timeout => make_interval(secs => $8::double precision),
    tags => $9::text[],
    meta => $10::text::jsonb,
    unique_key => $11::text,
    unique_for => make_interval(secs => $12::double precision),
    on_conflict => $13::text,
    limit_key => $14::text,
    traceparent => $15::text,
    tracestate => $16::text,
    baggage => $17::text,
    origin => $18::text::jsonb,
    kind_revision => $19::int
)
