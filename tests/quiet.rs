//! A worker that somebody has told to claim nothing more.

use std::sync::Arc;

use haulage::{AuditFilter, JobState, ManageError, WorkerInfo, WorkerLife, enqueue_all, list_audit, list_workers};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{Count, ana, database, eventually, jobs_in, wait_for_state, worker};

async fn living(pool: &PgPool) -> WorkerInfo {
    list_workers(pool).await.unwrap().into_iter().find(|worker| worker.life == WorkerLife::Alive).expect("a worker lives")
}

async fn id(pool: &PgPool) -> i64 {
    living(pool).await.id.parse().unwrap()
}

/// Waits until the worker has told so often that it lives.
async fn beats(pool: &PgPool, worker: i64, many: u32) {
    for _ in 0..many {
        let last: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("SELECT heartbeat_at FROM haulage.workers WHERE id = $1").bind(worker).fetch_one(pool).await.unwrap();
        eventually("it lives on", async || {
            let beat = sqlx::query_scalar("SELECT heartbeat_at > $2 FROM haulage.workers WHERE id = $1 AND dead_at IS NULL");
            beat.bind(worker).bind(last).fetch_one(pool).await.unwrap()
        })
        .await;
    }
}

#[tokio::test]
async fn a_quiet_worker_gives_back_what_it_has_not_started_finishes_what_it_runs_and_claims_nothing() {
    let pool = database().await.pool();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enter, held) = (entered.clone(), gate.clone());
    let handler = move |job: Count| {
        let (enter, gate) = (enter.clone(), held.clone());
        async move {
            // Quick at first, so that the worker claims ahead.
            if job.n >= 500 {
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
            }
        }
    };
    let first = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    enqueue_all(&pool, (0..1_000).map(|n| Count { n })).await.unwrap();
    entered.acquire_many(10).await.unwrap().forget();
    let worker_id = id(&pool).await;
    ana().because("INC-2207").quiet_worker(&pool, worker_id).await.unwrap();
    eventually("what it has claimed ahead is given back", async || jobs_in(&pool, JobState::Available).await == 490).await;
    let untouched: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.live_jobs WHERE state = 1 AND failures = 0 AND crashes = 0")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((jobs_in(&pool, JobState::Running).await, untouched), (10, 490));

    gate.add_permits(1_000);
    eventually("it finishes what it runs", async || jobs_in(&pool, JobState::Completed).await == 510).await;
    beats(&pool, worker_id, 5).await;
    assert_eq!(jobs_in(&pool, JobState::Available).await, 490, "it claims nothing");
    let known = living(&pool).await;
    assert!(known.quiet_at.is_some() && known.running == 0, "{known:?}");
    assert_eq!((known.quiet_by.as_deref(), known.quiet_why.as_deref()), (Some("ana"), Some("INC-2207")));

    // Others take what there is; and it claims again when it is told to.
    let other = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("another one takes it", async || jobs_in(&pool, JobState::Completed).await == 1_000).await;
    other.shutdown().await;
    assert!(ana().resume_worker(&pool, worker_id).await.unwrap());
    assert!(!ana().resume_worker(&pool, worker_id).await.unwrap());
    let job = haulage::Job::enqueue(Count { n: 1 }, &pool).await.unwrap().id();
    wait_for_state(&pool, job, JobState::Completed).await;
    let deeds = list_audit(&pool, &AuditFilter::new()).await.unwrap();
    let verbs: Vec<_> = deeds.iter().map(|deed| (deed.verb.as_str(), deed.target.clone())).collect();
    assert_eq!(verbs, [("resume", format!("worker {worker_id}")), ("quiet", format!("worker {worker_id}"))]);
    assert_eq!(deeds[1].after.as_ref().unwrap()["quiet_why"], "INC-2207");
    first.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_registers_anew_stays_quiet() {
    let pool = database().await.pool();
    let handle = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let before = id(&pool).await;
    ana().quiet_worker(&pool, before).await.unwrap();
    // It has heard of that.
    beats(&pool, before, 2).await;
    sqlx::query("UPDATE haulage.workers SET dead_at = now() WHERE id = $1").bind(before).execute(&pool).await.unwrap();
    eventually("it has a new number", async || {
        list_workers(&pool).await.unwrap().iter().any(|worker| worker.life == WorkerLife::Alive && worker.id != before.to_string())
    })
    .await;
    assert_eq!(living(&pool).await.quiet_by.as_deref(), Some("ana"));
    let job = haulage::Job::enqueue(Count { n: 1 }, &pool).await.unwrap().id();
    beats(&pool, id(&pool).await, 5).await;
    assert_eq!(haulage::job(&pool, job).await.unwrap().unwrap().state, JobState::Available);
    ana().resume_worker(&pool, id(&pool).await).await.unwrap();
    wait_for_state(&pool, job, JobState::Completed).await;
    handle.shutdown().await;
}

#[tokio::test]
async fn who_quiets_a_worker_holds_up_no_heartbeat_and_no_stop() {
    let pool = database().await.pool();
    let handle = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let worker_id = id(&pool).await;
    let mut tx = pool.begin().await.unwrap();
    ana().quiet_worker(&mut *tx, worker_id).await.unwrap();
    beats(&pool, worker_id, 3).await;
    handle.shutdown().await;
    assert!(list_workers(&pool).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    for refused in [ana().quiet_worker(&pool, worker_id).await.unwrap_err(), ana().resume_worker(&pool, 7).await.unwrap_err()] {
        assert!(matches!(refused, ManageError::NoWorker { .. }), "{refused}");
    }
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn a_worker_is_kept_quiet_and_resumed_by_the_buttons_on_its_page() {
    use axum::Extension;
    use haulage::dashboard::{Identity, Role, router};

    let pool = database().await.pool();
    let handle = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let identity = Identity { name: "ola".to_owned(), role: Role::Operator };
    let url = crate::support::page::serve(router(pool.clone()).layer(Extension(identity))).await;
    let browser = crate::support::visitor::Visitor::at(&url);
    let at = format!("workers/{}", id(&pool).await);
    browser.press(&at, "Keep quiet", &[("reason", "out of memory soon")]).await;
    let known = living(&pool).await;
    assert_eq!((known.quiet_by.as_deref(), known.quiet_why.as_deref()), (Some("ola"), Some("out of memory soon")));
    let page = crate::support::page::page(&url, &format!("/{at}")).await;
    assert!(page.contains(">Quiet<"), "{page}");
    assert!(page.contains("ola keeps it quiet") && page.contains("“out of memory soon”"), "{page}");
    browser.press("workers", "Resume", &[]).await;
    assert!(living(&pool).await.quiet_at.is_none());
    handle.shutdown().await;
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn the_command_keeps_a_worker_quiet_by_its_name() {
    use std::process::Command;

    let database = database().await;
    let pool = database.pool();
    let handle = worker(&pool).name("web-1:7").handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let haulage = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haulage"));
        let output = command.arg("workers").args(args).env("DATABASE_URL", database.url()).env("USER", "ana").output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (done, said) = haulage(&["quiet", "web-1:7", "--reason", "INC-2207"]);
    assert!(done && said.contains("web-1:7 claims nothing more until `haulage workers resume"), "{said}");
    assert!(haulage(&[]).1.lines().any(|line| line.contains("web-1:7") && line.contains("quiet")));
    assert_eq!(living(&pool).await.quiet_why.as_deref(), Some("INC-2207"));
    assert_eq!(haulage(&["resume", &living(&pool).await.id]), (true, "web-1:7 claims again\n".to_owned()));
    for args in [&["resume", "web-1:7"][..], &["quiet", "web-2", "--reason", "x"]] {
        let (done, said) = haulage(args);
        assert!(!done && (said.contains("is not quiet") || said.contains("no living worker")), "{said}");
    }
    handle.shutdown().await;
}
