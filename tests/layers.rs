//! Any tower layer around the handlers; verdicts pass through.

use std::time::Duration;

use haulage::{Job, JobError, JobState, job_detail};
use tower::{ServiceBuilder, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer, util::MapRequestLayer};

use crate::support::{Count, Log, database, wait_for_state, worker};

#[tokio::test]
async fn layers_wrap_every_handler_and_verdicts_pass_through_them() {
    let pool = database().await.pool();
    let log = Log::default();
    let seen = log.clone();
    let note = move |run: haulage::Run| {
        seen.add(format!("{} {}", run.kind, run.args));
        run
    };
    let worker = worker(&pool)
        .handle(|job: Count| async move {
            match job.n {
                0 => Err(JobError::fatal("fatal inside")),
                1 => std::future::pending().await,
                _ => Ok(()),
            }
        })
        .layer(TimeoutLayer::new(Duration::from_millis(100)))
        .layer(ServiceBuilder::new().layer(MapRequestLayer::new(note)).layer(ConcurrencyLimitLayer::new(2)).into_inner())
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let fatal = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    let slow = Count { n: 1 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let fine = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, fatal, JobState::Dead).await;
    wait_for_state(&pool, slow, JobState::Dead).await;
    wait_for_state(&pool, fine, JobState::Completed).await;
    worker.shutdown().await;
    let error = async |id| job_detail(&pool, id).await.unwrap().unwrap().status.error.unwrap();
    assert_eq!(error(fatal).await, "fatal inside");
    assert_eq!(error(slow).await, "request timed out");
    assert_eq!(log.len(), 3);
}
