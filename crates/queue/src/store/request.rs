//! Requests that a program may repeat: noted, answered and found again under the key that it gave them.

use sqlx::{PgConnection, Row};

/// What was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Hash of the request.
    pub request: Vec<u8>,
    /// The status.
    pub status: i16,
    /// The body.
    pub answer: String,
}

/// Notes a request that is about to be done. `Some`: it was done before, and this was the answer. One that is under way in another
/// transaction is waited for.
pub async fn note_request(tx: &mut PgConnection, who: &str, key: &str, request: &[u8]) -> Result<Option<Answered>, sqlx::Error> {
    let is_new: bool =
        sqlx::query_scalar(include_str!("../sql/note_request.sql")).bind(who).bind(key).bind(request).fetch_one(&mut *tx).await?;
    // A row that was pruned between the two was a day old: then it is a new request, which its client may repeat.
    if is_new { Ok(None) } else { get_request(tx, who, key).await }
}

/// What was answered to a request.
pub async fn get_request(tx: &mut PgConnection, who: &str, key: &str) -> Result<Option<Answered>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/get_request.sql")).bind(who).bind(key).fetch_optional(tx).await?;
    row.map(|row| Ok(Answered { request: row.try_get("request")?, status: row.try_get("status")?, answer: row.try_get("answer")? }))
        .transpose()
}

/// Keeps what is answered, in the transaction that noted the request.
pub async fn answer_request(tx: &mut PgConnection, who: &str, key: &str, status: u16, answer: &str) -> Result<(), sqlx::Error> {
    let status = i16::try_from(status).unwrap_or(0);
    let query = sqlx::query(include_str!("../sql/answer_request.sql")).bind(who).bind(key).bind(status).bind(answer);
    query.execute(tx).await.map(|_| ())
}

/// Removes what was answered more than a day ago, at most so many; returns how many.
pub async fn prune_requests(connection: &mut PgConnection, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_requests.sql")).bind(limit).fetch_one(connection).await
}
