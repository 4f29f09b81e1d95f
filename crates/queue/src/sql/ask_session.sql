-- Which session of the server this is, and whether it has the options of a worker's connections. Sent as it is, without a prepared
-- statement, which a pooler might lose.
SELECT pg_backend_pid() AS pid, current_setting('plan_cache_mode') = 'force_generic_plan' AS has_options
