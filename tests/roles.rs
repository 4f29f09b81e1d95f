//! `examples/deploy/roles.sql`: each role can do what it is for, and no more.

use std::{str::FromStr, time::Duration};

use haulage::{
    Ctx, Duty, Job, JobError, JobFilter, JobState, OnConflict, Operator, Severity, Unique, Verb, WhyCode, enqueue_all, job, job_detail,
    list_jobs, list_workers, queues, run_operation,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::support::{Count, Database, database, empty_database, eventually, wait_for_state, worker};

const ROLES: [&str; 5] = ["owner", "worker", "app", "operator", "viewer"];

/// A database that was migrated by its own role, with the file applied before and after, and twice.
struct Roles {
    url: String,
    admin: PgPool,
    /// Roles belong to the whole server, so those of a test have a name of their own.
    test: &'static str,
}

impl Roles {
    async fn new(test: &'static str) -> Self {
        let roles = Self::on(empty_database().await, test).await;
        haulage::migrate(&roles.connect("owner").await).await.unwrap();
        roles.apply().await;
        roles.apply().await;
        roles
    }

    async fn on(database: Database, test: &'static str) -> Self {
        let roles = Self { url: database.url(), admin: database.pool(), test };
        roles.forget().await;
        roles.apply().await;
        for role in ROLES {
            roles.admin_runs(&format!("ALTER ROLE {} PASSWORD 'secret'", roles.name(role))).await;
        }
        roles
    }

    fn name(&self, role: &str) -> String {
        format!("haulage_{role}_{}", self.test)
    }

    async fn apply(&self) {
        let mut sql = include_str!("../examples/deploy/roles.sql").to_owned();
        for role in ROLES {
            sql = sql.replace(&format!("haulage_{role}"), &self.name(role));
        }
        self.admin_runs(&sql).await;
    }

    async fn connect(&self, role: &str) -> PgPool {
        let options = PgConnectOptions::from_str(&self.url).unwrap().username(&self.name(role)).password("secret");
        PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
    }

    async fn admin_runs(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&self.admin).await.unwrap();
    }

    /// Also what an earlier run has left on a server that stays.
    async fn forget(&self) {
        for role in ROLES {
            let name = self.name(role);
            let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(&name)
                .fetch_one(&self.admin)
                .await
                .unwrap();
            if there {
                self.admin_runs(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}")).await;
            }
        }
    }
}

async fn refused(pool: &PgPool, sql: &'static str) {
    let error = sqlx::raw_sql(sql).execute(pool).await.expect_err(sql);
    // insufficient_privilege
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"), "{sql}: {error}");
}

#[tokio::test]
async fn an_application_enqueues_by_crate_and_by_sql_and_reads_no_args() {
    let roles = Roles::new("enqueues").await;
    let app = roles.connect("app").await;

    let id = Count { n: 1 }.enqueue(&app).await.unwrap().id();
    let mut tx = app.begin().await.unwrap();
    enqueue_all(&mut *tx, (0..10).map(|n| Count { n })).await.unwrap();
    tx.commit().await.unwrap();
    for rule in [OnConflict::Keep, OnConflict::ReplaceArgs, OnConflict::Reschedule] {
        let held = Unique::by("once").on_conflict(rule);
        Count { n: 2 }.with().unique(held.clone()).delay(Duration::from_secs(60)).enqueue(&app).await.unwrap();
        Count { n: 3 }.with().unique(held).enqueue(&app).await.unwrap();
    }
    Count { n: 4 }.with().limit_key("tenant:1").enqueue(&app).await.unwrap();
    let by_sql: i64 = sqlx::query_scalar(
        r#"SELECT job_id FROM haulage.enqueue('count', '{"n": 5}', unique_key => 'five', delay => '1 hour', on_conflict => 'reschedule', parent_id => $1)"#,
    )
    .bind(id.0)
    .fetch_one(&app)
    .await
    .unwrap();

    assert_eq!(job(&app, id).await.unwrap().unwrap().state, JobState::Available);
    let state: String = sqlx::query_scalar("SELECT state FROM haulage.jobs WHERE id = $1").bind(by_sql).fetch_one(&app).await.unwrap();
    assert_eq!(state, "scheduled");

    for sql in [
        "SELECT args FROM haulage.live_jobs",
        "SELECT args FROM haulage.jobs",
        "SELECT args FROM haulage.finished_jobs",
        "SELECT meta FROM haulage.jobs",
        "DELETE FROM haulage.live_jobs",
        "DELETE FROM haulage.unique_keys",
        "UPDATE haulage.live_jobs SET lease = 1",
        "INSERT INTO haulage.queues (name) VALUES ('mine')",
        "SELECT * FROM haulage.audit",
        "SELECT haulage.make_partitions('2020-01-01', 1)",
        "SELECT haulage.drop_partition('attempts', '2020-01-01')",
        "SELECT haulage.build_history_index('attempts', '2020-01-01', 'trace')",
        "CREATE TABLE haulage.mine ()",
    ] {
        refused(&app, sql).await;
    }
}

#[tokio::test]
async fn a_role_that_may_not_look_at_sessions_says_so_and_would_end_none() {
    let roles = Roles::new("sessions").await;
    let mut viewer = roles.connect("viewer").await.acquire().await.unwrap();
    let id = Count { n: 1 }.enqueue(&roles.admin).await.unwrap().id();
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions)
         VALUES (7, 'idle', '0', '{default}', '{5}', '{count}', 600000, '{0}')",
    )
    .execute(&roles.admin)
    .await
    .unwrap();
    let mut stranger = roles.admin.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *stranger).await.unwrap();
    let verdict = haulage::why(&mut viewer, id).await.unwrap().unwrap();
    assert_eq!((verdict.code, verdict.severity), (WhyCode::RowLocked, Severity::Ok), "how old the transaction is can't be seen");
    assert_eq!(verdict.detail, "What it does is not visible to this role.");
    assert!(verdict.fixes.is_empty() && !verdict.evidence.to_string().contains("insufficient privilege"), "{verdict:#?}");
    let found = haulage::causes(&mut viewer).await.unwrap();
    assert!(found.causes.is_empty() && found.partial.is_empty(), "{found:#?}");
    let health = haulage::health(&mut viewer).await.unwrap();
    assert!(!health.sees_sessions && health.oldest_session.is_none(), "{health:?}");
    assert!(health.connections > 1, "{health:?}");
    let mut admin = roles.admin.acquire().await.unwrap();
    assert!(haulage::health(&mut admin).await.unwrap().sees_sessions);
}

#[tokio::test]
async fn a_worker_role_runs_jobs_and_keeps_the_partitions_without_owning_them() {
    let roles = Roles::new("works").await;
    let (owner, app, pool) = (roles.connect("owner").await, roles.connect("app").await, roles.connect("worker").await);
    // A day long past, and one ahead that is missing.
    let partitions = "SELECT haulage.make_partitions('2020-01-01', 1)";
    sqlx::query(partitions).execute(&owner).await.unwrap();
    let ahead: String =
        sqlx::query_scalar("SELECT max(relname) FROM pg_class WHERE relname ~ '^attempts_[0-9]{8}$'").fetch_one(&owner).await.unwrap();
    roles.admin_runs(&format!("DROP TABLE haulage.{ahead}")).await;
    let there = async |name: &str| -> bool {
        sqlx::query_scalar("SELECT to_regclass('haulage.' || $1) IS NOT NULL").bind(name).fetch_one(&owner).await.unwrap()
    };
    assert!(there("attempts_20200101").await && !there(&ahead).await);
    sqlx::raw_sql("INSERT INTO haulage.audit (at, who, verb, target) VALUES (now() - interval '2 years', 'ana', 'pause', 'queue mail')")
        .execute(&owner)
        .await
        .unwrap();

    // A day that is over, with a job.
    sqlx::raw_sql(
        "SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 2, 1);
         INSERT INTO haulage.finished_completed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes,
             state, kind_revision, queue, kind, args, finished_at)
         VALUES (1000000, now(), now(), now(), 1, 1, 0, 25, 0, 5, 0, 'q', 'count', '{}', now() - interval '2 days')",
    )
    .execute(&owner)
    .await
    .unwrap();

    let handler = async |job: Count, ctx: Ctx| {
        ctx.progress(50, "half");
        if job.n == 0 { Err(JobError::fatal("none")) } else { Ok(()) }
    };
    let running = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    let done = Count { n: 1 }.with().unique(Unique::by(1)).limit_key("tenant:1").enqueue(&app).await.unwrap().id();
    let dead = Count { n: 0 }.enqueue(&app).await.unwrap().id();
    wait_for_state(&app, done, JobState::Completed).await;
    wait_for_state(&app, dead, JobState::Dead).await;
    eventually("the worker drops the old partition and makes the missing one", async || {
        !there("attempts_20200101").await && !there("finished_completed_20200101").await && there(&ahead).await
    })
    .await;
    // To skip locked rows would take the right to change them.
    eventually("the worker removes what is old of the audit", async || {
        let old: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.audit").fetch_one(&owner).await.unwrap();
        old == 0
    })
    .await;
    eventually("the worker has the indexes of that day built, by their owner", async || {
        let (built, owners): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE pg_get_userbyid(c.relowner) = current_user) FROM pg_index AS x
             JOIN pg_class AS c ON c.oid = x.indexrelid WHERE c.relname ~ '_[0-9]{8}_(trace|request|kind|tags|args)$' AND x.indisvalid",
        )
        .fetch_one(&owner)
        .await
        .unwrap();
        (built, owners) == (5, 5)
    })
    .await;
    running.shutdown().await;

    Count { n: 2 }.enqueue(&app).await.unwrap();
    let mut drained = worker(&pool).without(Duty::Prune).handle(handler).build().unwrap();
    assert_eq!(drained.drain().await.unwrap().completed(), 1);

    for sql in [
        "DROP TABLE haulage.live_jobs",
        "ALTER TABLE haulage.live_jobs ADD COLUMN mine int",
        "CREATE TABLE haulage.mine ()",
        "DELETE FROM haulage.migrations",
        "UPDATE haulage.audit SET who = 'eve'",
    ] {
        refused(&pool, sql).await;
    }
}

#[tokio::test]
async fn an_operator_retries_pauses_and_limits_and_can_not_rewrite_the_audit() {
    let roles = Roles::new("operates").await;
    let (app, pool, operator) = (roles.connect("app").await, roles.connect("worker").await, roles.connect("operator").await);
    enqueue_all(&app, (0..3).map(|n| Count { n }.with().max_attempts(1))).await.unwrap();
    let mut failing = worker(&pool).handle(async |_: Count| Err::<(), _>(JobError::from("no luck"))).build().unwrap();
    assert_eq!(failing.drain().await.unwrap().dead(), 3);

    let ana = Operator::new("ana").because("mended");
    let dead = list_jobs(&operator, &JobFilter::new().state(JobState::Dead)).await.unwrap();
    ana.retry(&operator, dead[0].id).await.unwrap();
    let operation = ana.start(&operator, Verb::Retry, &JobFilter::new().state(JobState::Dead)).await.unwrap();
    assert_eq!(run_operation(&operator, operation.id).await.unwrap().done, 2);
    ana.cancel(&operator, dead[0].id).await.unwrap();
    ana.delete(&operator, dead[1].id).await.unwrap();
    ana.pause_queue(&operator, "default", None).await.unwrap();
    ana.resume_queue(&operator, "default").await.unwrap();
    ana.limit_queue(&operator, "default", haulage::Limit::running(1)).await.unwrap();
    ana.limit_key(&operator, "tenant:*", haulage::Limit::running(1)).await.unwrap();

    for sql in [
        "DELETE FROM haulage.audit",
        "UPDATE haulage.audit SET who = 'bob'",
        "SELECT haulage.drop_partition('attempts', '2020-01-01')",
        "DROP TABLE haulage.audit",
        "DELETE FROM haulage.compatibility",
    ] {
        refused(&operator, sql).await;
    }
}

#[tokio::test]
async fn a_viewer_reads_everything_and_changes_nothing() {
    let roles = Roles::new("views").await;
    let (app, viewer) = (roles.connect("app").await, roles.connect("viewer").await);
    let id = Count { n: 7 }.enqueue(&app).await.unwrap().id();

    assert_eq!(job_detail(&viewer, id).await.unwrap().unwrap().status.id, id);
    assert_eq!(list_jobs(&viewer, &JobFilter::new()).await.unwrap().len(), 1);
    assert_eq!(queues(&viewer).await.unwrap()[0].available, 1);
    assert!(list_workers(&viewer).await.unwrap().is_empty());
    haulage::check_schema(&mut viewer.acquire().await.unwrap()).await.unwrap();
    let mut looks = viewer.acquire().await.unwrap();
    assert_eq!(haulage::why(&mut looks, id).await.unwrap().unwrap().code, WhyCode::NoLiveWorkers);
    assert!(haulage::why(&mut looks, haulage::JobId(id.0 + 1)).await.unwrap().is_none());
    haulage::causes(&mut looks).await.unwrap();
    haulage::health(&mut looks).await.unwrap();
    drop(looks);
    let args: serde_json::Value =
        sqlx::query_scalar("SELECT args FROM haulage.jobs WHERE id = $1").bind(id.0).fetch_one(&viewer).await.unwrap();
    assert_eq!(args["n"], 7);

    assert!(Count { n: 8 }.enqueue(&viewer).await.is_err());
    assert!(Operator::new("eve").cancel(&viewer, id).await.is_err());
    assert!(Operator::new("eve").pause_queue(&viewer, "default", None).await.is_err());
    for sql in [
        "DELETE FROM haulage.live_jobs",
        "UPDATE haulage.live_jobs SET args = '{}'",
        "INSERT INTO haulage.cancel_requests (job_id, reason) VALUES (1, 'x')",
        "SELECT haulage.enqueue('count')",
        "SELECT haulage.make_partitions('2020-01-01', 1)",
    ] {
        refused(&viewer, sql).await;
    }
    assert_eq!(job(&viewer, id).await.unwrap().unwrap().state, JobState::Available);
}

#[tokio::test]
async fn what_a_later_migration_makes_is_granted_by_itself() {
    let roles = Roles::new("later").await;
    let owner = roles.connect("owner").await;
    sqlx::query("CREATE TABLE haulage.later (id bigserial PRIMARY KEY, n int)").execute(&owner).await.unwrap();

    for role in ["worker", "operator"] {
        let pool = roles.connect(role).await;
        sqlx::raw_sql("INSERT INTO haulage.later (n) VALUES (1); UPDATE haulage.later SET n = 2; DELETE FROM haulage.later")
            .execute(&pool)
            .await
            .unwrap();
    }
    let viewer = roles.connect("viewer").await;
    sqlx::raw_sql("SELECT n FROM haulage.later").execute(&viewer).await.unwrap();
    refused(&viewer, "INSERT INTO haulage.later (n) VALUES (1)").await;
    let app = roles.connect("app").await;
    refused(&app, "SELECT n FROM haulage.later").await;
    sqlx::raw_sql("SELECT nextval('haulage.later_id_seq')").execute(&app).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_another_role_has_made_is_granted_too_now_and_later() {
    let roles = Roles::on(database().await, "older").await;
    let (app, pool) = (roles.connect("app").await, roles.connect("worker").await);
    Count { n: 1 }.enqueue(&app).await.unwrap();
    assert_eq!(worker(&pool).handle(async |_: Count| {}).build().unwrap().drain().await.unwrap().completed(), 1);
    roles.admin_runs("CREATE TABLE haulage.later (n int)").await;
    sqlx::raw_sql("INSERT INTO haulage.later (n) VALUES (1)").execute(&pool).await.unwrap();
}
