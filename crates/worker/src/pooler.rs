//! Whether the way to the server leads through a pooler that keeps no session, as pgbouncer does in transaction mode. The runtime's
//! connections have options and prepared statements of their own, which such a pooler refuses, or forgets: it is better to say so at the
//! start than to fail now and then.

use haulage_queue::store;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::RunError;

/// A pooler that is busy may give each of two connections another session at first.
const QUESTIONS: usize = 5;

/// Connects, and makes sure that the connection has a session to itself.
pub(crate) async fn connect(options: PgConnectOptions) -> Result<PgConnection, RunError> {
    let mut connection = options.connect().await.map_err(|error| match error.as_database_error() {
        Some(refused) if refused.message().contains("startup parameter") => RunError::Pooler(Some(error)),
        _ => error.into(),
    })?;
    let (session, has_options) = store::ask_session(&mut connection).await?;
    if has_options {
        return Ok(connection);
    }
    // Somebody between us and the server has dropped them. Two connections never share a session, and none changes it, if he keeps them.
    let mut other = options.connect().await?;
    let (others, _) = store::ask_session(&mut other).await?;
    for _ in 0..QUESTIONS {
        let (again, _) = store::ask_session(&mut connection).await?;
        let (other_again, _) = store::ask_session(&mut other).await?;
        if again != session || other_again != others || session == others {
            return Err(RunError::Pooler(None));
        }
    }
    tracing::warn!("a pooler drops the options of the worker's connections: claims may be slow; let it pass \"options\", or go past it");
    Ok(connection)
}
