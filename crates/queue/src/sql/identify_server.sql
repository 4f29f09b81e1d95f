-- Which data this is, and whether the server follows another one: a primary and its replicas have the same number. Locks: none.
SELECT
    pg_is_in_recovery() AS follows, current_database()::text AS database,
    CASE
        WHEN has_function_privilege('pg_control_system()', 'EXECUTE') THEN (SELECT s.system_identifier FROM pg_control_system() AS s)
    END AS system
