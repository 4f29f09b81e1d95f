//! Unique jobs: a key from fields, held by a unique index.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Jobs of one kind with equal keys are stored once: while one is unfinished, or for a window that outlives it.
#[derive(Debug, Clone)]
#[must_use = "a key does nothing until a job returns it from `unique()` or is given it with `.unique(..)`"]
pub struct Unique {
    key: Result<String, String>,
    window: Option<Duration>,
    on_conflict: OnConflict,
}

/// What enqueueing does when the key is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnConflict {
    /// Leave the holder as it is.
    #[default]
    Keep,
    /// Give the holder the new args, unless it is running or finished.
    ReplaceArgs,
    /// Give the holder the new time (debounce), unless it is running or finished.
    Reschedule,
}

impl Unique {
    /// A key made of fields: a tuple, a reference, a struct. It is stored as 128 bits of SHA-256 over the kind and the compact
    /// JSON text of `fields`, so that SQL callers who pass the same text share the key.
    pub fn by(fields: impl Serialize) -> Self {
        Self { key: serde_json::to_string(&fields).map_err(|error| error.to_string()), window: None, on_conflict: OnConflict::Keep }
    }

    /// Holds the key for this long from the enqueue, even when the job finishes sooner; up to 36,525 days. A job that takes
    /// longer holds it until it finishes.
    pub fn within(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// What to do when the key is held; [`OnConflict::Keep`] unless set.
    pub fn on_conflict(mut self, action: OnConflict) -> Self {
        self.on_conflict = action;
        self
    }

    pub(crate) fn stored(&self, kind: &str) -> Result<StoredKey, String> {
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let on_conflict = match self.on_conflict {
            OnConflict::Keep => 0,
            OnConflict::ReplaceArgs => REPLACE_ARGS,
            OnConflict::Reschedule => RESCHEDULE,
        };
        Ok(StoredKey { key: hash(kind, key), window: self.window, on_conflict })
    }
}

/// The stored form of a key: 128 bits of SHA-256. `haulage.unique_key()` computes the same.
pub(crate) fn hash(kind: &str, key: &str) -> Uuid {
    let digest = Sha256::new().chain_update(kind).chain_update("\n").chain_update(key).finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(first)
}

pub(crate) const REPLACE_ARGS: i16 = 1;
pub(crate) const RESCHEDULE: i16 = 2;

/// A key in the form the table holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredKey {
    pub(crate) key: Uuid,
    pub(crate) window: Option<Duration>,
    /// Bits: what a holder that has not started is given.
    pub(crate) on_conflict: i16,
}
