//! Acts on many jobs.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgExecutor, Row, postgres::PgRow};

use crate::{JobFilter, JobId, Operation, OperationId, OperationState, Operator, Verb};

type Found = Result<Option<Operation>, sqlx::Error>;

/// Stores an act on many jobs; nothing is done yet.
pub(crate) async fn start_operation(
    connection: &mut PgConnection,
    operator: &Operator,
    verb: &Verb,
    filter: &JobFilter,
) -> Result<Operation, sqlx::Error> {
    let mut params = match encode(verb)? {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    params.remove("verb");
    let row = sqlx::query(include_str!("../sql/start_operation.sql"))
        .bind(operator.who.as_str())
        .bind(operator.reason.as_deref())
        .bind(verb.as_str())
        .bind(Value::Object(params).to_string())
        .bind(encode(filter)?.to_string())
        .fetch_one(connection)
        .await?;
    read(&row)
}

/// An operation, locked for a batch of it.
pub(crate) async fn lock_operation(connection: &mut PgConnection, id: OperationId) -> Found {
    found(sqlx::query(include_str!("../sql/lock_operation.sql")).bind(id.0).fetch_optional(connection).await?)
}

/// An operation.
pub(crate) async fn get_operation<'c>(executor: impl PgExecutor<'c>, id: OperationId) -> Found {
    found(sqlx::query(include_str!("../sql/get_operation.sql")).bind(id.0).fetch_optional(executor).await?)
}

/// Operations, newest first.
pub(crate) async fn list_operations<'c>(
    executor: impl PgExecutor<'c>,
    before: OperationId,
    limit: u16,
) -> Result<Vec<Operation>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_operations.sql")).bind(before.0).bind(i32::from(limit)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Writes down what a batch did; `reached` `None`: nothing is left.
pub(crate) async fn advance_operation(
    connection: &mut PgConnection,
    id: OperationId,
    reached: Option<i64>,
    done: usize,
    skipped: &BTreeMap<String, u64>,
    failed: &BTreeMap<String, u64>,
) -> Result<Operation, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/advance_operation.sql"))
        .bind(id.0)
        .bind(reached)
        .bind(i64::try_from(done).unwrap_or(i64::MAX))
        .bind(encode(skipped)?.to_string())
        .bind(encode(failed)?.to_string())
        .fetch_one(connection)
        .await?;
    read(&row)
}

/// Stops an open operation; `None` when it is not open.
pub(crate) async fn cancel_operation(connection: &mut PgConnection, id: OperationId) -> Found {
    found(sqlx::query(include_str!("../sql/cancel_operation.sql")).bind(id.0).fetch_optional(connection).await?)
}

/// Opens a cancelled operation again; `None` when it is not cancelled.
pub(crate) async fn reopen_operation(connection: &mut PgConnection, id: OperationId) -> Found {
    found(sqlx::query(include_str!("../sql/reopen_operation.sql")).bind(id.0).fetch_optional(connection).await?)
}

/// Plans use indexes for the rest of the transaction.
pub(crate) async fn plan_by_index(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/plan_by_index.sql")).execute(connection).await?;
    Ok(())
}

fn found(row: Option<PgRow>) -> Found {
    row.as_ref().map(read).transpose()
}

fn read(row: &PgRow) -> Result<Operation, sqlx::Error> {
    let mut verb: Map<String, Value> = decode(row, "params")?;
    verb.insert("verb".to_owned(), Value::String(row.try_get("verb")?));
    let state: String = row.try_get("state")?;
    let count = |name| row.try_get::<i64, _>(name).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Operation {
        id: OperationId(row.try_get("id")?),
        who: row.try_get("who")?,
        reason: row.try_get("reason")?,
        verb: serde_json::from_value(Value::Object(verb)).map_err(|error| unknown("verb", &error))?,
        filter: decode(row, "filter")?,
        state: match state.as_str() {
            "open" => OperationState::Open,
            "done" => OperationState::Done,
            _ => OperationState::Cancelled,
        },
        up_to: JobId(row.try_get("up_to")?),
        cursor: JobId(row.try_get("cursor")?),
        done: count("done")?,
        skipped: decode(row, "skipped")?,
        failed: decode(row, "failed")?,
        started_at: row.try_get("started_at")?,
        stepped_at: row.try_get("stepped_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

fn encode(value: &impl serde::Serialize) -> Result<Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn decode<T: DeserializeOwned>(row: &PgRow, name: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(name)?).map_err(|error| unknown(name, &error))
}

/// A later version may store what this one must not guess at: a condition left out would match too much.
fn unknown(name: &str, error: &serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(format!("the {name} of this operation is unknown to this version ({error}): upgrade this program").into())
}
