-- A million waiting jobs of a kind that no worker handles.
INSERT INTO haulage.live_jobs (kind, args)
SELECT 'stranger', '{}' FROM generate_series(1, 1000000)
