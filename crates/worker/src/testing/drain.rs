//! Running everything that is there.

use std::{collections::HashMap, future::IntoFuture};

use futures_util::future::BoxFuture;
use haulage_queue::JobId;

use crate::{
    Worker,
    testing::{DrainError, Drained, Ran, session::Session},
};

/// Most attempts of one job in a drain. A job that is not told otherwise has 25, so one with more snoozes for ever.
const MOST_OF_ONE: usize = 100;
/// Most attempts in a drain: jobs that enqueue each other for ever should not hang a test.
const MOST: usize = 10_000;

impl Worker {
    /// Runs what is available in this worker's queues, what its handlers enqueue meanwhile included, until nothing is left: one
    /// job after the other, in this process, on one connection. For tests.
    ///
    /// Jobs whose time has come when the drain begins are available; later ones, and retries, are left unless asked for by
    /// [`Drain::with_scheduled`]. Queues go in the order in which they were named to the builder, and the first is looked at again
    /// after each job.
    ///
    /// ```no_run
    /// # async fn test(mut worker: haulage_worker::Worker) -> Result<(), haulage_worker::testing::DrainError> {
    /// worker.drain().await?.assert_completed();
    /// let report = worker.drain().with_scheduled().await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&mut self) -> Drain<'_> {
        Drain { worker: self, scheduled: false }
    }
}

/// A drain about to begin; see [`Worker::drain`]. Await it.
#[derive(Debug)]
#[must_use = "nothing runs until this is awaited"]
pub struct Drain<'a> {
    worker: &'a Worker,
    scheduled: bool,
}

impl Drain<'_> {
    /// Does not wait for scheduled jobs, retries and snoozes: whenever nothing is available, the one that is due next runs as
    /// though its time had come. So a job that always fails runs until it is dead. Clocks are not touched: what a handler enqueues
    /// for later is due later than now.
    pub fn with_scheduled(mut self) -> Self {
        self.scheduled = true;
        self
    }

    async fn run(self) -> Result<Drained, DrainError> {
        let mut session = Session::begin(&self.worker.shared).await?;
        let drained = run(&mut session, self.scheduled).await;
        session.end(drained).await
    }
}

async fn run(session: &mut Session<'_>, scheduled: bool) -> Result<Drained, DrainError> {
    session.promote().await?;
    let mut drained = Vec::new();
    let mut attempts: HashMap<JobId, usize> = HashMap::new();
    loop {
        let Some(taken) = session.next().await? else {
            if session.admit().await? || scheduled && session.bring_forward().await? {
                continue;
            }
            let idle = if drained.is_empty() { session.idle().await? } else { String::new() };
            return Ok(Drained::new(drained, idle));
        };
        let ran: Ran = session.run(taken).await?;
        let of_one = attempts.entry(ran.id).or_default();
        *of_one += 1;
        if *of_one >= MOST_OF_ONE || drained.len() >= MOST {
            return Err(DrainError::Endless { attempts: drained.len() + 1, last: ran.to_string() });
        }
        drained.push(ran);
    }
}

impl<'a> IntoFuture for Drain<'a> {
    type Output = Result<Drained, DrainError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
