//! What somebody may do. Each role may do what the ones before it may.

use std::{fmt, str::FromStr};

/// What somebody may do by the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// Sees everything, with secrets hidden, and changes nothing.
    #[default]
    Viewer,
    /// What is done at night, and can mostly be undone: retry, run, cancel, discard, hold, move; pause and resume; schedules; all that for
    /// many jobs.
    Operator,
    /// What can't be undone, or changes what others set up: delete, other args, limits, ending sessions of the database.
    Admin,
}

/// No role has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no role: use viewer, operator or admin", .word.escape_debug())]
pub struct UnknownRole {
    word: String,
}

impl Role {
    /// All of them, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| UnknownRole { word: word.chars().take(40).collect() })
    }
}
