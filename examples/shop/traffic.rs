//! A switch that makes customers: places so many orders per second, the way a request does.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    input::{Input, wants_json},
    order::{self, NewLine, NewOrder},
    problem::Problem,
    web::App,
};

/// More than this and the demo measures the laptop.
const MOST_PER_SECOND: u32 = 100;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Traffic {
    per_second: u32,
}

/// `POST /traffic`
pub(crate) async fn set(State(app): State<App>, headers: HeaderMap, Input(traffic, _): Input<Traffic>) -> Result<Response, Problem> {
    if traffic.per_second > MOST_PER_SECOND {
        return Err(Problem::bad(format!("At most {MOST_PER_SECOND} orders per second.")));
    }
    app.traffic.send_replace(traffic.per_second);
    if wants_json(&headers) { Ok(Json(traffic).into_response()) } else { Ok(Redirect::to("/").into_response()) }
}

/// Places orders until the task is dropped.
pub(crate) async fn run(pool: PgPool, mut rate: watch::Receiver<u32>) {
    loop {
        let per_second = *rate.borrow_and_update();
        if per_second == 0 {
            if rate.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut tick = interval(Duration::from_secs(1) / per_second);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !rate.has_changed().unwrap_or(true) {
            tick.tick().await;
            if let Err(problem) = order::place(&pool, &some_order()).await {
                tracing::warn!("could not place an order: {}", problem.sentence);
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn some_order() -> NewOrder {
    let mut random = rand::rng();
    let first = random.random_range(1..=12);
    let lines = (0..random.random_range(1..=3))
        .map(|at| NewLine { product: 1 + (first + at * 5) % 12, quantity: random.random_range(1..=4) })
        .collect();
    NewOrder { email: format!("customer{}@example.com", random.random_range(1..=2000)), lines }
}
