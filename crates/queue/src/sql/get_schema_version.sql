-- The newest migration that ran here; no row in an empty history, an error where the schema is missing.
SELECT max(version) FROM haulage.migrations WHERE success
