-- The oldest version that a program must know to run on schema version $1; no row: exactly that one.
SELECT runs_with FROM haulage.compatibility WHERE version = $1::bigint
