//! Where a request reads what need not be exact.

use std::sync::{Arc, OnceLock};

use haulage_queue::store::Standing;

use super::{Hindrance, Note, Position, Replica};
use crate::{app::Reading, error::Problem};

/// Where a request reads what need not be exact; without a replica on the primary, as all else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(Option<Arc<Look>>);

/// Among the extensions of a request: it reads nothing from the replica, because it is made for people who have done something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnPrimary;

#[derive(Debug)]
struct Look {
    /// The replica, with what it must have replayed; or why it is not asked.
    at: Result<(Replica, Option<Position>), Hindrance>,
    /// Whether anything was to be read so, and how far the replica was that answered.
    read: OnceLock<Option<Standing>>,
}

impl Place {
    pub(super) fn replica(replica: &Replica, wrote: Option<Position>) -> Self {
        Self::at(Ok((replica.clone(), wrote)))
    }

    /// The primary, in place of the replica.
    pub(super) fn primary(because: Hindrance) -> Self {
        Self::at(Err(because))
    }

    fn at(at: Result<(Replica, Option<Position>), Hindrance>) -> Self {
        Self(Some(Arc::new(Look { at, read: OnceLock::new() })))
    }

    /// A look at the replica; `None`: the primary is to be read.
    pub(crate) async fn read(&self) -> Option<Result<Reading, Problem>> {
        let look = self.0.as_ref()?;
        let Ok((replica, wrote)) = &look.at else {
            look.read.get_or_init(|| None);
            return None;
        };
        let reading = replica.read(*wrote).await;
        look.read.get_or_init(|| reading.as_ref().ok().and_then(|reading| reading.standing));
        Some(reading)
    }

    /// Whether anything was to be read so.
    pub(super) fn was_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|look| look.read.get().is_some())
    }

    /// What there is to say about it, if anything was read that the replica could have been asked for.
    pub(crate) fn note(&self) -> Option<Note> {
        let look = self.0.as_ref()?;
        let read = look.read.get()?;
        Some(match (&look.at, read) {
            (Err(because), _) => Note::primary(*because),
            (Ok(_), standing) => Note::replica(standing.as_ref()?),
        })
    }
}
