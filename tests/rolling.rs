//! Rolling deploys: old code leaves newer args to new code, wherever the job stands.

use haulage::{
    Job, JobId, JobState, Limit, NamedJob, OnConflict, Operator, Schedule, Unique, Worker, declare_schedules, enqueue_all, enqueue_named,
    job, job_detail, list_workers,
    store::{self, Kinds},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use crate::support::{Log, database, eventually, jobs_in, wait_for_state, worker};

mod old {
    use super::{Deserialize, Job, Serialize};

    #[derive(Debug, Clone, Serialize, Deserialize)]
    pub(super) struct Greet {
        pub(super) name: String,
    }

    impl Job for Greet {
        const KIND: &'static str = "greet";
    }
}

mod new {
    use super::{Deserialize, Job, Serialize};

    #[derive(Debug, Clone, Serialize, Deserialize)]
    pub(super) struct Greet {
        pub(super) name: String,
        #[serde(default)]
        pub(super) tongue: Option<String>,
    }

    impl Job for Greet {
        const KIND: &'static str = "greet";
        const KIND_ALIASES: &'static [&'static str] = &["hello"];
        const REVISION: u16 = 1;
    }
}

fn old(name: &str) -> old::Greet {
    old::Greet { name: name.into() }
}

fn new(name: &str) -> new::Greet {
    new::Greet { name: name.into(), tongue: Some("de".into()) }
}

async fn revision(pool: &PgPool, id: JobId) -> i16 {
    job_detail(pool, id).await.unwrap().unwrap().revision
}

#[tokio::test]
async fn an_old_worker_leaves_newer_args_to_a_new_one_and_holds_up_nobody() {
    let pool = database().await.pool();
    let log = Log::default();
    let by_old = log.clone();
    let old_worker = worker(&pool)
        .handle(move |job: old::Greet| {
            let log = by_old.clone();
            async move { log.add(format!("old {}", job.name)) }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    // So many that the bound passes them.
    let newer = enqueue_all(&pool, (0..1_000).map(|_| new("b"))).await.unwrap();
    for n in 0..3 {
        enqueue_all(&pool, (0..300).map(|_| old("a"))).await.unwrap();
        eventually("the old args have run", async || log.len() == 300 * (n + 1)).await;
    }
    let first = job(&pool, newer[0].id()).await.unwrap().unwrap();
    assert_eq!((first.state, first.attempt), (JobState::Available, 0));
    assert!(log.entries().iter().all(|entry| entry == "old a"));

    let by_new = log.clone();
    let new_worker = worker(&pool)
        .handle(move |job: new::Greet| {
            let log = by_new.clone();
            async move { log.add(format!("new {} {:?}", job.name, job.tongue)) }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    eventually("everything has run", async || jobs_in(&pool, JobState::Completed).await == 1_900).await;
    assert_eq!(log.entries().iter().filter(|entry| *entry == "new b Some(\"de\")").count(), 1_000);
    let known: Vec<_> = list_workers(&pool).await.unwrap().into_iter().map(|worker| (worker.kinds, worker.revisions)).collect();
    assert!(
        known.contains(&(vec!["greet".into()], vec![0])) && known.contains(&(vec!["greet".into(), "hello".into()], vec![1, 1])),
        "{known:?}"
    );
    old_worker.shutdown().await;

    // The new code reads the old args, also under its old name; what is newer still waits for its code.
    let left = old("c").enqueue(&pool).await.unwrap().id();
    let alias = enqueue_named(&pool, &NamedJob::new("hello", old("d")).revision(1)).await.unwrap().id();
    let newest = enqueue_named(&pool, &NamedJob::new("hello", old("e")).revision(2)).await.unwrap().id();
    wait_for_state(&pool, left, JobState::Completed).await;
    wait_for_state(&pool, alias, JobState::Completed).await;
    new_worker.shutdown().await;
    assert_eq!(job(&pool, newest).await.unwrap().unwrap().attempt, 0);
    assert!(log.entries().contains(&"new c None".to_owned()));
}

async fn swept(connection: &mut PgConnection, revision: i16) -> i64 {
    let kinds = Kinds::from_iter([("other".to_owned(), 9), ("greet".to_owned(), revision)]);
    store::sweep_line(connection, "default", 1, (0, i64::MAX), &kinds).await.unwrap().jobs
}

#[tokio::test]
async fn newer_jobs_are_left_alone_wherever_they_stand() {
    let db = haulage::testing::Database::new().await.unwrap();
    let pool = db.pool();
    Operator::new("ana").limit_queue(pool, "limited", Limit::running(1)).await.unwrap();
    Operator::new("ana").limit_key(pool, "tenant:1", Limit::running(1)).await.unwrap();
    let mut newer = Vec::new();
    for (n, place) in ["line", "limited", "keyed", "timed", "returned", "suspect"].into_iter().enumerate() {
        let job = |job: NamedJob| match place {
            "limited" => job.queue("limited"),
            "keyed" => job.limit_key("tenant:1"),
            "timed" => job.delay(std::time::Duration::from_secs(60)),
            _ => job,
        };
        for revision in [1, 0] {
            let id = enqueue_named(pool, &job(NamedJob::new("greet", old(place)).revision(revision))).await.unwrap().id();
            let edit = match place {
                "returned" => "UPDATE haulage.live_jobs SET place = 2 WHERE id = $1",
                "suspect" => "UPDATE haulage.live_jobs SET state = 3, place = 3, parked_for = 3, crashes = 2 WHERE id = $1",
                _ => "SELECT $1",
            };
            sqlx::query(edit).bind(id.0).execute(pool).await.unwrap();
            if revision == 1 {
                newer.push(id);
            }
        }
        assert_eq!(newer.len(), n + 1);
    }
    let builder = || Worker::builder(pool.clone()).queue("default", 1).queue("limited", 1);
    let mut old_worker = builder().handle(|_: old::Greet| async {}).build().unwrap();
    assert_eq!(old_worker.drain().with_scheduled().await.unwrap().assert_completed(), 6);
    for id in &newer {
        assert_eq!(job(pool, *id).await.unwrap().unwrap().attempt, 0, "{id}");
    }
    assert!(old_worker.work_one(newer[0]).await.is_err());
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(swept(&mut connection, 0).await, 0);
    let mut new_worker = builder().handle(|_: new::Greet| async {}).build().unwrap();
    assert_eq!(new_worker.drain().with_scheduled().await.unwrap().assert_completed(), 6);
    new("x").enqueue(pool).await.unwrap();
    assert_eq!(swept(&mut connection, 1).await, 1);
}

#[tokio::test]
async fn args_that_replace_others_bring_their_revision() {
    let pool = database().await.pool();
    let unique = || Unique::by(1).on_conflict(OnConflict::ReplaceArgs);
    let id = old("a").with().unique(unique()).enqueue(&pool).await.unwrap().id();
    assert_eq!(revision(&pool, id).await, 0);
    new("b").with().unique(unique()).enqueue(&pool).await.unwrap();
    assert_eq!(revision(&pool, id).await, 1, "old code can't read these");
    old("c").with().unique(unique()).enqueue(&pool).await.unwrap();
    assert_eq!(revision(&pool, id).await, 0);
    sqlx::query(
        "SELECT haulage.enqueue('greet', '{\"name\": \"d\"}', unique_key => '1', on_conflict => 'replace args', kind_revision => 5)",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(revision(&pool, id).await, 5);
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().args["name"], "d");
}

#[tokio::test]
async fn the_jobs_of_a_schedule_have_the_revision_of_its_code() {
    let pool = database().await.pool();
    let declare = async |schedule: Schedule| declare_schedules(&pool, "shop", [schedule]).await.unwrap();
    declare(Schedule::new("greeting", "* * * * * *", old("a"))).await;
    declare(Schedule::new("greeting", "* * * * * *", new("b"))).await;
    let by_hand = Operator::new("ana").run_schedule(&pool, "greeting").await.unwrap();
    assert_eq!(revision(&pool, by_hand).await, 1);
    let mut worker = worker(&pool).handle(|_: old::Greet| async {}).build().unwrap().start().await.unwrap();
    let fired = async || -> Vec<i16> {
        sqlx::query_scalar("SELECT kind_revision FROM haulage.live_jobs WHERE meta ? 'instant'").fetch_all(&pool).await.unwrap()
    };
    eventually("it has fired", async || !fired().await.is_empty()).await;
    worker = {
        worker.shutdown().await;
        crate::support::worker(&pool).handle(|_: new::Greet| async {}).build().unwrap().start().await.unwrap()
    };
    assert!(fired().await.iter().all(|revision| *revision == 1));
    wait_for_state(&pool, by_hand, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn programs_of_the_version_before_admit_as_they_did() {
    let pool = database().await.pool();
    Operator::new("ana").limit_queue(&pool, "default", Limit::running(5)).await.unwrap();
    Operator::new("ana").limit_key(&pool, "tenant:1", Limit::running(5)).await.unwrap();
    new("a").enqueue(&pool).await.unwrap();
    new("b").with().limit_key("tenant:1").queue("other").enqueue(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let admitted: i32 = sqlx::query_scalar("SELECT admitted FROM haulage.admit_queue('default', ARRAY['greet'])")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(admitted, 1);
    let admitted: i32 = sqlx::query_scalar("SELECT admitted FROM haulage.admit_keys(ARRAY['tenant:1'], ARRAY['other'], ARRAY['greet'])")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(admitted, 1);
    let id: i64 = sqlx::query_scalar("SELECT id FROM haulage.reserve_unique_key(gen_random_uuid(), NULL, 1::smallint, '{}', now())")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert!(id > 0);
}
