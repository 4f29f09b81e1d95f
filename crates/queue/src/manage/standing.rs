//! How a job stands, and so what can be done to it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{JobId, JobState, ParkedFor, Priority, Verb};

/// How a job stands. Its JSON is what the audit shows as before and after; it holds no args.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Standing {
    #[serde(skip)]
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parked_for: Option<ParkedFor>,
    pub(crate) queue: String,
    pub(crate) priority: Priority,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    /// Another job that holds its unique key.
    #[serde(skip)]
    pub(crate) key_holder: Option<JobId>,
}

/// Why a verb does not fit a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// A few words, which an operation counts by.
    pub(crate) reason: &'static str,
    /// A sentence with what to do.
    pub(crate) why: String,
}

impl Standing {
    /// Whether the verb fits; a lock is another matter.
    pub(crate) fn fits(&self, verb: &Verb) -> Result<(), Misfit> {
        use JobState::{Available, Cancelled, Completed, Dead, Parked, Running, Scheduled};
        let misfit = |reason, why: &str| Err(Misfit { reason, why: why.to_owned() });
        match (verb, self.state) {
            (Verb::Retry, Dead | Cancelled) => match self.key_holder {
                None => Ok(()),
                Some(holder) => Err(Misfit {
                    reason: "unique key held",
                    why: format!("job {holder} holds its unique key; wait until that one has finished, or cancel it"),
                }),
            },
            (Verb::Cancel, Running) => Ok(()),
            (Verb::Retry, Running) => misfit("running", "it is running"),
            (Verb::Cancel, Completed | Dead | Cancelled) => misfit(self.state.as_str(), "it has finished already"),
            (Verb::Discard | Verb::Delete, Running) => misfit("running", "it is running; cancel it, and its handler is told to stop"),
            (Verb::Hold | Verb::Move { .. } | Verb::Reprioritise { .. }, Running) => {
                misfit("running", "it is running; that can be done when it is back in line, or cancel it")
            }
            (Verb::RunNow | Verb::Release, Running) => misfit("running", "it is running already"),
            (Verb::Delete, _) | (Verb::Cancel | Verb::Discard, Scheduled | Available | Parked) => Ok(()),
            (
                Verb::RunNow | Verb::Hold | Verb::Move { .. } | Verb::Reprioritise { .. } | Verb::Release | Verb::Discard,
                Dead | Cancelled,
            ) => misfit(self.state.as_str(), "it has finished; retry it"),
            (_, Completed) => misfit("completed", "it is completed; run-again makes a new job of it"),
            (Verb::RunNow, Scheduled) => Ok(()),
            (Verb::RunNow | Verb::Retry, Available) => misfit("available", "it waits for a worker already"),
            (Verb::Retry, Scheduled) => misfit("scheduled", "it will run at its time; run-now lets it run at once"),
            (Verb::Release, Parked) if self.parked_for == Some(ParkedFor::Held) => Ok(()),
            (Verb::Release, Scheduled | Available | Parked) => misfit("not held", "nobody holds it"),
            (Verb::Retry | Verb::RunNow, Parked) if self.parked_for == Some(ParkedFor::Held) => misfit("held", "it is held; release it"),
            (Verb::Retry | Verb::RunNow, Parked) if self.parked_for == Some(ParkedFor::Suspect) => {
                misfit("suspect", "its process died twice while it ran, so a worker takes it alone, as soon as one can")
            }
            (Verb::Hold, Parked) if self.parked_for == Some(ParkedFor::Held) => misfit("held", "it is held already"),
            (Verb::Retry | Verb::RunNow, Parked) if self.parked_for == Some(ParkedFor::Key) => {
                misfit("waiting for its key", "it waits for other jobs of its limit key; raise the limit to let it in")
            }
            (Verb::Hold, _) => Ok(()),
            (Verb::Move { queue }, _) if *queue == self.queue => misfit("already there", "it is in that queue already"),
            (Verb::Reprioritise { priority }, _) if *priority == self.priority => misfit("already there", "it has that priority already"),
            (Verb::Move { .. } | Verb::Reprioritise { .. }, _) => Ok(()),
            (Verb::Retry | Verb::RunNow, Parked) => misfit("parked", "it waits for something else"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: JobState) -> Standing {
        Standing {
            id: JobId(1),
            state,
            parked_for: (state == JobState::Parked).then_some(ParkedFor::Held),
            queue: "q".into(),
            priority: Priority::Normal,
            run_at: DateTime::UNIX_EPOCH,
            failures: 0,
            max_attempts: 1,
            crashes: 0,
            key_holder: None,
        }
    }

    #[test]
    fn a_verb_fits_just_the_states_it_names() {
        let verbs = [
            Verb::Retry,
            Verb::RunNow,
            Verb::Cancel,
            Verb::Discard,
            Verb::Release,
            Verb::Delete,
            Verb::Move { queue: "other".into() },
            Verb::Reprioritise { priority: Priority::Low },
        ];
        for verb in verbs {
            for state in JobState::ALL {
                let fits = standing(state).fits(&verb);
                assert_eq!(fits.is_ok(), verb.states().contains(&state), "{verb:?} {state}: {fits:?}");
            }
        }
        // A held job can't be held again, but a suspect can.
        let mut parked = standing(JobState::Parked);
        assert_eq!(parked.fits(&Verb::Hold).unwrap_err().reason, "held");
        parked.parked_for = Some(ParkedFor::Suspect);
        assert_eq!(parked.fits(&Verb::Hold), Ok(()));
        assert_eq!(parked.fits(&Verb::Release).unwrap_err().reason, "not held");
    }
}
