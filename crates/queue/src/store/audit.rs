//! Who did what.

use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{AuditEntry, JobId, OperationId};

/// One deed of an operator, about to be written down.
#[derive(Debug)]
pub(crate) struct AuditRow<'a> {
    pub(crate) who: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) target: &'a str,
    pub(crate) jobs: Option<&'a [i64]>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Says who did what, in the transaction of the deed.
pub(crate) async fn write_audit(connection: &mut PgConnection, row: &AuditRow<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/write_audit.sql"))
        .bind(row.who)
        .bind(row.verb)
        .bind(row.target)
        .bind(row.jobs)
        .bind(row.operation.map(|operation| operation.0))
        .bind(row.reason)
        .bind(row.before.as_ref().map(Value::to_string))
        .bind(row.after.as_ref().map(Value::to_string))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn entry(row: &PgRow) -> Result<AuditEntry, sqlx::Error> {
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        who: row.try_get("who")?,
        verb: row.try_get("verb")?,
        target: row.try_get("target")?,
        jobs: row.try_get::<Option<Vec<i64>>, _>("jobs")?.unwrap_or_default().into_iter().map(JobId).collect(),
        operation: row.try_get::<Option<i64>, _>("operation")?.map(OperationId),
        reason: row.try_get("reason")?,
        before: json(row.try_get("before")?),
        after: json(row.try_get("after")?),
    })
}
