-- What is known of the server, of the schema and of what is kept longest. Index: audit_at; errors has some hundred rows.
SELECT
    current_setting('server_version') AS version, current_database()::text AS database, current_setting('max_connections') AS max_connections,
    (SELECT max(m.version) FROM haulage.migrations AS m) AS schema_version,
    CASE
        WHEN pg_is_in_recovery() THEN
            -- Nothing to replay is no lag, however long ago the last transaction was.
            CASE
                WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
            END::double precision
    END AS replica_lag_s,
    (SELECT min(a.at) FROM haulage.audit AS a) AS audit_since,
    (SELECT min(e.first_at) FROM haulage.errors AS e) AS errors_since
