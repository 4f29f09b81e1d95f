//! The pages, a file each.

pub(crate) mod act;
pub(crate) mod audit;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod operation;
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod queue;
pub(crate) mod queues;
pub(crate) mod schedule;
pub(crate) mod schedules;
pub(crate) mod stuck;
pub(crate) mod worker;
pub(crate) mod workers;

use axum::response::Response;

use crate::{error::Problem, frame::Frame};

/// Lists show so many at a time: what a person scans without losing the place.
pub(crate) const PAGE: u16 = 50;

/// No page has this path.
pub(crate) async fn lost(frame: Frame) -> Response {
    Problem::not_found("There is no page here. The navigation leads to those there are.").page(&frame)
}
