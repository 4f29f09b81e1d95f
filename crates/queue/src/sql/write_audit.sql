-- Says who did what. $1 who  $2 verb  $3 target  $4 jobs changed  $5 operation  $6 reason  $7 before, $8 after, JSON texts
-- Locks: the new row.
INSERT INTO haulage.audit (who, verb, target, jobs, operation, reason, before, after)
VALUES ($1::text, $2::text, $3::text, $4::bigint[], $5::bigint, $6::text, $7::text::jsonb, $8::text::jsonb)
