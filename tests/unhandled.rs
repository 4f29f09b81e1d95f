//! Jobs that wait for a worker that is not there: they are named, with what is missing.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use haulage::{Duty, MissingWorker, NamedJob, Operator, UnhandledKind, enqueue_named, store, unhandled_kinds};
use sqlx::PgPool;

use crate::support::{Count, database, eventually, worker};

async fn enqueue(pool: &PgPool, queue: &str, kind: &str, revision: u16) -> haulage::JobId {
    enqueue_named(pool, &NamedJob::new(kind, ()).queue(queue).revision(revision)).await.unwrap().id()
}

fn said(waiting: &[UnhandledKind]) -> Vec<(&str, &str, i16, i64, bool, MissingWorker)> {
    waiting.iter().map(|jobs| (jobs.queue.as_str(), jobs.kind.as_str(), jobs.revision, jobs.jobs, jobs.at_least, jobs.missing)).collect()
}

#[tokio::test]
async fn kinds_without_a_handler_are_named_with_what_is_missing() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .shutdown_grace(Duration::ZERO)
        .handle(|_: Count| async { std::future::pending::<()>().await })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    assert!(unhandled_kinds(&pool).await.unwrap().is_empty());
    // Silent for a day, and perhaps nobody was there to declare it dead.
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, heartbeat_at)
         VALUES (1, 'silent', '0', '{mail}', '{1}', '{count}', 30000, now() - interval '1 day')",
    )
    .execute(&pool)
    .await
    .unwrap();
    // Known, and never said however many wait.
    enqueue(&pool, "default", "count", 0).await;
    enqueue(&pool, "default", "count", 3).await;
    enqueue(&pool, "default", "report", 0).await;
    enqueue(&pool, "mail", "count", 0).await;
    let held = enqueue(&pool, "mail", "held", 0).await;
    Operator::new("ana").hold(&pool, held).await.unwrap();
    enqueue_named(&pool, &NamedJob::new("later", ()).delay(Duration::from_secs(3_600))).await.unwrap();
    enqueue_named(&pool, &NamedJob::new("keyed", ()).limit_key("tenant:1")).await.unwrap();
    let returned = enqueue(&pool, "default", "returned", 0).await;
    sqlx::query("UPDATE haulage.live_jobs SET place = 2 WHERE id = $1").bind(returned.0).execute(&pool).await.unwrap();
    eventually("what waits for its key is parked", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM haulage.live_jobs WHERE kind = 'keyed' AND place = 3)")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(
        said(&unhandled_kinds(&pool).await.unwrap()),
        [
            ("default", "count", 3, 1, false, MissingWorker::Revision { known: 0 }),
            ("default", "keyed", 0, 1, false, MissingWorker::Kind),
            ("default", "report", 0, 1, false, MissingWorker::Kind),
            ("default", "returned", 0, 1, false, MissingWorker::Kind),
            ("mail", "count", 0, 1, false, MissingWorker::Queue),
        ]
    );
    // A version of Haulage that knows of no revisions takes them all.
    sqlx::raw_sql("UPDATE haulage.workers SET revisions = NULL").execute(&pool).await.unwrap();
    assert_eq!(unhandled_kinds(&pool).await.unwrap().len(), 4);
    worker.shutdown().await;
    let waiting = unhandled_kinds(&pool).await.unwrap();
    assert!(waiting.iter().all(|jobs| jobs.missing == MissingWorker::Queue), "{waiting:?}");
}

#[tokio::test]
async fn a_look_reads_no_more_than_the_beginning_of_each_line() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args, priority) SELECT 'default', 'stranger', '{}', 1 FROM generate_series(1, 50000);
         INSERT INTO haulage.live_jobs (queue, kind, args, priority) VALUES ('default', 'low', '{}', 2); ANALYZE haulage.live_jobs",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    let waiting = store::list_unhandled(&mut *tx, None).await.unwrap();
    let (fetched, scanned): (i64, i64) =
        sqlx::query_as("SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'haulage.live_jobs'::regclass")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(
        said(&waiting),
        [("default", "low", 0, 1, true, MissingWorker::Queue), ("default", "stranger", 0, 2_500, true, MissingWorker::Queue)]
    );
    assert!(fetched < 6_000 && scanned == 0, "{fetched} rows by index, {scanned} by a scan of the table");
}

#[tokio::test]
async fn of_the_live_workers_one_looks() {
    let pool = database().await.pool();
    enqueue(&pool, "default", "report", 0).await;
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, dead_at)
         VALUES (1, 'a', '0', '{}', '{}', '{}', 30000, '{}', now()), (2, 'b', '0', '{}', '{}', '{}', 30000, NULL, NULL),
             (3, 'c', '0', '{}', '{}', '{}', 30000, '{}', NULL), (4, 'd', '0', '{}', '{}', '{}', 30000, '{}', NULL)",
    )
    .execute(&pool)
    .await
    .unwrap();
    for (worker, found) in [(3, 1), (4, 0)] {
        assert_eq!(store::list_unhandled(&pool, Some(worker)).await.unwrap().len(), found, "worker {worker}");
    }
}

/// After a step of the clock all workers look dead, and their kinds were said to have none.
#[tokio::test]
async fn a_worker_that_looks_dead_itself_says_nothing() {
    let pool = database().await.pool();
    enqueue(&pool, "default", "report", 0).await;
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, heartbeat_at)
         VALUES (1, 'a', '0', '{}', '{}', '{}', 30000, '{}', now() - interval '6 s')",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(store::list_unhandled(&pool, Some(1)).await.unwrap().len(), 1);
    for step in [20.0, 3_600.0] {
        sqlx::query("UPDATE haulage.workers SET heartbeat_at = now() - make_interval(secs => $1)").bind(step).execute(&pool).await.unwrap();
        assert!(store::list_unhandled(&pool, Some(1)).await.unwrap().is_empty(), "after a step of {step} s");
    }
    assert_eq!(store::list_unhandled(&pool, None).await.unwrap().len(), 1, "whoever asks is answered");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_worker_says_in_its_log_what_waits_for_nobody() {
    let pool = database().await.pool();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // Of this thread, on which the worker's duties run too.
    let _guard = tracing::subscriber::set_default(subscriber);
    let old = enqueue(&pool, "mail", "report", 2).await;
    enqueue(&pool, "mail", "young", 0).await;
    sqlx::query("UPDATE haulage.live_jobs SET eligible_at = now() - interval '5 minutes' WHERE id = $1")
        .bind(old.0)
        .execute(&pool)
        .await
        .unwrap();
    let worker = worker(&pool).queue("mail", 1).without(Duty::Prune).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let text = || String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    eventually("it is said", async || text().contains("jobs wait, and no live worker of their queue handles their kind")).await;
    worker.shutdown().await;
    let text = text();
    let line = text.lines().find(|line| line.contains("jobs wait")).unwrap();
    assert!(line.contains("WARN") && line.contains("queue=\"mail\" kind=\"report\" revision=2 jobs=1 at_least=false"), "{line}");
    assert!(!text.contains("young"), "what has just come may have its worker soon: {text}");
}
