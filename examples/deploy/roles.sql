-- The roles around Haulage, each with the least that its work needs:
--
--   haulage_owner     migrates; owns the schema
--   haulage_worker    runs jobs
--   haulage_app       enqueues, and asks how its jobs fare; reads no args
--   haulage_operator  retries, pauses, limits; reads everything
--   haulage_viewer    reads everything, args included
--
-- Apply it before the first migration and again after each, any number of times: as a superuser, or as the owner of the database
-- with the right to create roles.
--
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f roles.sql
--
-- The roles have no password. Give them one (\password haulage_worker), or make your log-ins members:
-- GRANT haulage_app TO shop_web. What a handler needs in your own tables you grant to haulage_worker yourself.

BEGIN;
DO $$
DECLARE
    wanted text;
BEGIN
    -- Two at once would both make the roles.
    PERFORM pg_advisory_xact_lock(hashtext('haulage roles'));
    FOREACH wanted IN ARRAY ARRAY['haulage_owner', 'haulage_worker', 'haulage_app', 'haulage_operator', 'haulage_viewer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
    END LOOP;
    -- To grant what the owner owns one must be the owner, or a member.
    IF NOT pg_has_role(current_user, 'haulage_owner', 'USAGE') THEN
        EXECUTE format('GRANT haulage_owner TO %I', current_user);
    END IF;
    -- A migration looks first whether it may make its schema, also when that is there.
    EXECUTE format('GRANT CREATE ON DATABASE %I TO haulage_owner', current_database());
END $$;

CREATE SCHEMA IF NOT EXISTS haulage AUTHORIZATION haulage_owner;
GRANT USAGE ON SCHEMA haulage TO haulage_worker, haulage_app, haulage_operator, haulage_viewer;

-- What a later migration makes is granted by itself. Whoever migrated so far is the one who will, and may be another role than
-- haulage_owner where the schema is older than this file.
DO $$
DECLARE
    owner name := coalesce(
        (SELECT tableowner FROM pg_tables WHERE schemaname = 'haulage' AND tablename = 'live_jobs'),
        (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'haulage')
    );
BEGIN
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA haulage GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO haulage_worker, haulage_operator', owner);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA haulage GRANT SELECT ON TABLES TO haulage_viewer', owner);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA haulage GRANT USAGE, SELECT ON SEQUENCES TO haulage_worker, haulage_operator', owner);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA haulage GRANT USAGE ON SEQUENCES TO haulage_app', owner);
END $$;

-- What is there already.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA haulage TO haulage_worker, haulage_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA haulage TO haulage_viewer;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA haulage TO haulage_worker, haulage_operator;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA haulage TO haulage_app;

-- The rest names tables, so it waits for the first migration.
DO $$
BEGIN
    IF to_regclass('haulage.audit') IS NULL THEN
        RAISE NOTICE 'there is no schema yet: migrate as haulage_owner, then apply this file again';
        RETURN;
    END IF;

    -- Only migrations write these, and nobody rewrites the audit.
    REVOKE INSERT, UPDATE, DELETE ON haulage.migrations, haulage.compatibility FROM haulage_worker, haulage_operator;
    -- Its old rows are pruned by workers.
    REVOKE UPDATE ON haulage.audit FROM haulage_worker;
    REVOKE UPDATE, DELETE ON haulage.audit FROM haulage_operator;

    -- Partitions of the history are made, indexed and dropped by functions that run as the owner.
    GRANT EXECUTE ON FUNCTION haulage.make_partitions(date, int), haulage.drop_partition(text, date) TO haulage_worker;
    GRANT EXECUTE ON FUNCTION haulage.build_history_index(text, date, text) TO haulage_worker;

    -- To enqueue. The columns are those that the statements look at: of a job that waits all but its args, meta and origin.
    GRANT INSERT ON haulage.live_jobs TO haulage_app;
    GRANT SELECT (
        id, pos, run_at, eligible_at, created_at, claimed_at, lease, parent_id, root_id, attempt, priority, failures, max_attempts,
        crashes, state, place, parked_for, kind_revision, queue, kind, limit_key, unique_key
    ) ON haulage.live_jobs TO haulage_app;
    GRANT SELECT (name, max_running, rate_count) ON haulage.queues TO haulage_app;
    GRANT SELECT, INSERT, UPDATE ON haulage.unique_keys TO haulage_app;
    -- For the conflict rules "replace args" and "reschedule" alone: leave it out where nobody uses them.
    GRANT UPDATE (args, kind_revision, run_at, eligible_at, state, place, parked_for) ON haulage.live_jobs TO haulage_app;

    -- To ask how a job fares: `haulage::job`, and the view.
    GRANT SELECT ON haulage.progress TO haulage_app;
    GRANT SELECT (job_id, attempt, outcome, message, ended_at, next_run_at) ON haulage.attempts TO haulage_app;
    GRANT SELECT (
        id, queue, kind, state, attempt, failures, max_attempts, run_at, created_at, claimed_at, finished_at, output, error
    ) ON haulage.finished_jobs, haulage.jobs TO haulage_app;
END $$;
COMMIT;
