//! The health check, for a load balancer or a person.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use haulage_queue::{ReadError, SCHEMA_VERSION, check_schema, store};
use serde::Serialize;
use sqlx::PgPool;

use crate::{app::PATIENCE, error::Problem};

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    schema_version: i64,
}

/// `GET /health`.
pub(crate) async fn health(State(pool): State<PgPool>) -> Response {
    match check(&pool).await {
        Ok(()) => Json(Health { status: "ok", schema_version: SCHEMA_VERSION }).into_response(),
        Err(problem) => problem.json(),
    }
}

async fn check(pool: &PgPool) -> Result<(), Problem> {
    let (mut tx, _) = store::start_reading(pool, PATIENCE).await.map_err(ReadError::from).map_err(Problem::unavailable)?;
    check_schema(&mut tx).await.map_err(Problem::unavailable)
}
