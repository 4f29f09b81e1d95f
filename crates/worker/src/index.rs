//! Builds the indexes of days of the history that are over: by trace, request, kind, tags and args. Today's partition goes without, each
//! would cost every job that finishes.
//!
//! A build takes seconds to minutes, and to see whether a day has rows may wait for its partition's lock, so both have a task and a
//! connection of their own: the sixth of this process, only if the duties find that an index may be lacking, and of one process of the
//! fleet while it builds.
//!
//! ```text
//!  duties ──hourly, if one may be lacking──> index: connect, try the fleet's lock, look, build one after the other, disconnect
//! ```
//!
//! Killed at any point, an index that is not valid is left behind at most; the next look finds it lacking. One that can't be built holds up
//! no other.

use std::sync::Arc;

use haulage_queue::store;
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
            // Behind a backup, say, where all others would wait as long: the next look is within an hour.
            Err(error) if store::lock_timed_out(&error) => {
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
        let (completed, failed, mut tried) = (settings.keep_completed, settings.keep_failed, Vec::new());
        while let Some(index) = store::next_history_index(&mut connection, completed, failed, &tried).await? {
            let name = index.name();
            match store::build_history_index(&mut connection, &index).await {
                Ok(true) => tracing::info!(index = name, "built an index of a day of history"),
                Ok(false) => tracing::info!(index = name, "a day of history is locked, its index is not built; trying again later"),
                // If the connection is gone the next look says so.
                Err(error) if error.as_database_error().is_some() && !store::lock_timed_out(&error) => {
                    tracing::warn!(index = name, %error, "an index of a day of history could not be built; trying again later");
                }
                Err(error) => return Err(error),
            }
            tried.push(name);
        }
    }
    connection.close().await
}
