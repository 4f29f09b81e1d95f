-- The server's process behind this connection: another one at the next question if a pooler stands between.
SELECT pg_backend_pid()
