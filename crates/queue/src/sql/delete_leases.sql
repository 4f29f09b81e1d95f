-- Removes leases of which no job is left. $1 leases  $2 worker
DELETE FROM haulage.leases
WHERE id = ANY ($1::bigint[]) AND worker = $2::bigint
