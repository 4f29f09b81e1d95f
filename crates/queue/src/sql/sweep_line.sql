-- Finds jobs that a claim's lower bound has passed (an insert that committed late, a row that was locked, a claim that was
-- rolled back) and puts them first in line. Returns how many, and the last position among them. Of a limited
-- queue none: there place 2 is a slot.
-- $1 queue  $2 priority  $3, $4 look at positions after the first, up to the second  $5 kinds
-- $6 the last revision known of each kind, parallel to $5
-- Locks: the rows it moves, skipping locked ones. Index: live_jobs_line.
WITH missed AS (
    UPDATE haulage.live_jobs
    SET place = 2
    WHERE id = ANY (ARRAY (
        SELECT id
        FROM haulage.live_jobs
        WHERE queue = $1::text AND priority = $2::smallint AND place = 1 AND pos > $3::bigint AND pos <= $4::bigint AND state = 1
          AND kind = ANY ($5::text[])
          AND (kind_revision = 0 OR kind_revision <= ($6::smallint[])[array_position($5::text[], kind)])
          AND NOT haulage.is_limited($1::text)
        ORDER BY pos
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING pos
)
SELECT count(*), max(pos) FROM missed
