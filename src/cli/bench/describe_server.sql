-- The server's version, and what of its configuration a figure depends on.
SELECT
    split_part(current_setting('server_version'), ' ', 1),
    (
        SELECT string_agg(format('%s=%s', name, current_setting(name)), ' ' ORDER BY n)
        FROM unnest(ARRAY['shared_buffers', 'max_wal_size', 'checkpoint_timeout', 'max_connections']) WITH ORDINALITY AS s (name, n)
    )
