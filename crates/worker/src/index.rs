//! Builds the indexes of days of the history that are over: by trace, request, kind, tags and args. Today's partition goes without, each
//! would cost every job that finishes.
//!
//! A build takes seconds to minutes, so it has a task and a connection of its own: the sixth of this process, and of one process of the
//! fleet at a time. The duties look whether something is to be built and tell this task.
//!
//! ```text
//!  duties ──hourly──> something lacking? ──told──> index: connect, try the fleet's lock, build one after the other, disconnect
//! ```
//!
//! Killed at any point, an index that is not valid is left behind at most; the next look finds it lacking.

use std::sync::Arc;

use haulage_queue::store::{self, Failure, failure};
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.index.notified() => {}
        }
        // When stopped in between, the server finishes the build that it is at, unless it is stopped too.
        let built = tokio::select! {
            () = stop.cancelled() => return,
            built = build(&shared) => built,
        };
        match built {
            // Behind a backup, say, or an operator's transaction: the next look is within an hour.
            Err(error) if failure(&error) == Failure::Cancelled || store::lock_timed_out(&error) => {
                tracing::info!(%error, "an index of the history was not built in time; trying again later");
            }
            Err(error) => tracing::warn!(%error, "the history's indexes could not be built; trying again later"),
            Ok(()) => {}
        }
    }
}

async fn build(shared: &Shared) -> Result<(), sqlx::Error> {
    let mut connection = shared.options().connect().await?;
    if store::arbitrate_indexing(&mut connection).await? {
        let settings = &shared.settings;
        while let Some(index) = store::next_history_index(&mut connection, settings.keep_completed, settings.keep_failed).await? {
            if !store::build_history_index(&mut connection, &index).await? {
                break;
            }
            tracing::info!(index = index.name(), "built an index of a day of history");
        }
    }
    connection.close().await
}
