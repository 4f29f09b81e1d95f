//! Who acts.

use axum::http::request::Parts;
use haulage_queue::Operator;

use crate::{auth::Identity, error::Problem};

pub(super) fn of(parts: &Parts) -> Result<Operator, Problem> {
    Ok(Operator::new(parts.extensions.get::<Identity>().map_or("dashboard", |identity| identity.name.as_str())))
}
