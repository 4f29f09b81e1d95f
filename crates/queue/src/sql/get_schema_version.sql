-- The newest migration that ran here, NULL when none did. An error where the schema is missing.
SELECT max(version) FROM haulage.migrations WHERE success
