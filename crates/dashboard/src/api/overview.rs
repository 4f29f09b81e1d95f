//! How everything stands.

use chrono::{DateTime, Utc};
use haulage_queue::{CauseGroup, store};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    endpoint::{Answer, Nothing},
    field::State,
};
use crate::app::App;

/// How everything stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Overview {
    /// When it was read, by the database's clock.
    at: DateTime<Utc>,
    /// How many jobs are in each state.
    states: Vec<Count>,
    /// About how many have completed, by the planner's statistics; 0 when it has none yet.
    completed_about: i64,
    /// Worker processes.
    workers: Workers,
    /// Causes that hold up jobs; `null`: they could not be looked at.
    causes: Option<Groups>,
}

/// How many jobs are in a state.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StateCount")]
struct Count {
    /// The state.
    state: State,
    /// How many, counted to 10,001.
    jobs: i64,
    /// Whether there may be more.
    at_least: bool,
}

/// Worker processes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkerCount")]
struct Workers {
    /// That live.
    alive: i64,
    /// That are known, dead ones for an hour.
    known: i64,
}

/// How many causes there are of each group.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CauseCount")]
struct Groups {
    /// A person has to do something.
    needs_you: usize,
    /// It moves too slowly.
    getting_worse: usize,
    /// It will be over by itself.
    clears_by_itself: usize,
}

/// Counts stop here.
const COUNTED: i64 = 10_000;

/// `GET /overview`.
pub(crate) async fn show(app: App, (): (), _: Nothing) -> Answer<Overview> {
    let mut reading = app.list().await?;
    let counts = store::count_states(reading.db()).await?;
    let (known, alive) = match reading.standing {
        None => store::count_workers(reading.db()).await?,
        // By the clock they would look dead on a replica that is behind.
        Some(_) => store::count_workers(app.read().await?.db()).await?,
    };
    let at = reading.clock;
    drop(reading);
    let causes = app.causes_if_known().await;
    let count = |(state, jobs)| Count { state: State(state), jobs, at_least: jobs > COUNTED };
    Ok(Overview {
        at,
        states: counts.counts.into_iter().map(count).collect(),
        completed_about: counts.completed_about,
        workers: Workers { alive, known },
        causes: causes.map(|causes| Groups {
            needs_you: causes.of(CauseGroup::NeedsYou).count(),
            getting_worse: causes.of(CauseGroup::GettingWorse).count(),
            clears_by_itself: causes.of(CauseGroup::ClearsByItself).count(),
        }),
    })
}
