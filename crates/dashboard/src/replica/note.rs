//! What is said about where a page was read.

use haulage_queue::store::Standing;

use super::Hindrance;
use crate::show::span;

/// Whoever reads a replica that is further behind is warned: longer than that nobody waits for a page to change.
const WARNED_S: f64 = 10.0;

/// What is said about where a page was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    /// Beside the time of the page.
    pub(crate) short: String,
    /// A sentence above the page.
    pub(crate) sentence: Option<String>,
    /// Whether that is a warning.
    pub(crate) warns: bool,
    /// For programs, as the value of a header.
    pub(crate) header: String,
}

impl Note {
    pub(super) fn primary(because: Hindrance) -> Self {
        let (word, sentence) = match because {
            Hindrance::Behind => ("behind", "Read from the primary: what you did last may not have reached the replica yet."),
            Hindrance::Unreachable => ("unreachable", "Read from the primary: the replica can't be reached."),
            Hindrance::BrokenOff => {
                ("broken-off", "Read from the primary: the replica broke this off twice, because its replay needed what was being read.")
            }
            Hindrance::Missing => ("missing", "Read from the primary: the replica does not have this yet."),
            Hindrance::Refused => ("refused", "Read from the primary: the replica could not answer, and the log says why."),
        };
        Self {
            short: "primary".to_owned(),
            sentence: Some(sentence.to_owned()),
            warns: matches!(because, Hindrance::Unreachable | Hindrance::Refused),
            header: format!("primary; because={word}"),
        }
    }

    pub(super) fn replica(standing: &Standing) -> Self {
        Self {
            short: format!("replica, {}", lag(standing)),
            sentence: warning(standing),
            warns: true,
            header: standing.lag_s.map_or_else(|| "replica".to_owned(), |lag| format!("replica; lag={lag:.3}")),
        }
    }
}

/// "80 ms behind".
pub(crate) fn lag(standing: &Standing) -> String {
    match standing.lag_s {
        _ if !standing.follows => "which follows no other server".to_owned(),
        Some(lag) => format!("{} behind", span(lag)),
        None => "behind by a time that it does not know".to_owned(),
    }
}

/// What is wrong with a replica that is far behind.
pub(crate) fn warning(standing: &Standing) -> Option<String> {
    if !standing.follows || standing.lag_s.is_some_and(|lag| lag <= WARNED_S) {
        return None;
    }
    let how_far = match standing.lag_s {
        Some(lag) => format!("This is as it was {} ago", span(lag)),
        None => "How old this is, nobody knows".to_owned(),
    };
    let why = match standing {
        Standing { paused: true, .. } => "somebody has paused its replay (SELECT pg_wal_replay_resume() on it goes on)",
        Standing { receives: false, .. } => "it is not connected to its primary",
        _ => "it has received what it has not replayed yet: a long query on it may hold that up, or it is slower than the primary",
    };
    Some(format!("{how_far}: the replica that it was read from is behind, because {why}. Times of waiting here are longer by as much."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_far_behind_is_warned_of_with_the_reason() {
        let standing = Standing { follows: true, replayed: Some(1), lag_s: Some(10.0), receives: true, paused: false };
        assert_eq!(warning(&standing), None);
        assert_eq!(lag(&standing), "10 s behind");
        for (far, reason) in [
            (Standing { lag_s: Some(75.0), ..standing }, "a long query on it"),
            (Standing { lag_s: Some(75.0), receives: false, ..standing }, "not connected to its primary"),
            (Standing { lag_s: Some(75.0), paused: true, receives: false, ..standing }, "pg_wal_replay_resume"),
        ] {
            let sentence = warning(&far).unwrap();
            assert!(sentence.starts_with("This is as it was 1 min 15 s ago") && sentence.contains(reason), "{sentence}");
        }
        assert!(warning(&Standing { lag_s: None, ..standing }).unwrap().starts_with("How old this is"));
        assert_eq!(warning(&Standing { follows: false, replayed: None, lag_s: None, ..standing }), None);
    }
}
