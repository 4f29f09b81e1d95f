//! The eight looks of a job: a color, a shape and a word each, so that none of the three is needed.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;
use haulage_queue::{JobState, ParkedFor};

/// How a job looks. Retrying is a scheduled job that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Scheduled,
    Retrying,
    Available,
    Running,
    Parked,
    Completed,
    Dead,
    Cancelled,
}

impl Look {
    pub(crate) fn of(state: impl Borrow<JobState>, failures: impl Borrow<i16>) -> Self {
        match state.borrow() {
            JobState::Scheduled if *failures.borrow() > 0 => Self::Retrying,
            JobState::Scheduled => Self::Scheduled,
            JobState::Available => Self::Available,
            JobState::Running => Self::Running,
            JobState::Completed => Self::Completed,
            JobState::Dead => Self::Dead,
            JobState::Cancelled => Self::Cancelled,
            // A later version may know more states; the word comes from the state then.
            _ => Self::Parked,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Retrying => "Retrying",
            Self::Available => "Available",
            Self::Running => "Running",
            Self::Parked => "Parked",
            Self::Completed => "Completed",
            Self::Dead => "Dead",
            Self::Cancelled => "Cancelled",
        }
    }

    fn name(self) -> String {
        self.word().to_lowercase()
    }

    /// The class that gives the color.
    pub(crate) fn class(self) -> String {
        format!("st-{}", self.name())
    }

    /// The symbol that gives the shape.
    pub(crate) fn icon(self) -> String {
        format!("i-{}", self.name())
    }

    const fn tag(self) -> Tag {
        Tag { look: self, word: self.word() }
    }
}

/// A look as a tag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    look: Look,
    word: &'static str,
}

impl Tag {
    /// Of a job in this state.
    pub(crate) fn of(state: impl Borrow<JobState>, failures: impl Borrow<i16>, parked_for: &Option<ParkedFor>) -> Self {
        let tag = Look::of(state, failures).tag();
        match parked_for {
            Some(ParkedFor::Held) => Self { word: "Held", ..tag },
            Some(ParkedFor::Key) => Self { word: "Waits for key", ..tag },
            Some(ParkedFor::Suspect) => Self { word: "Suspect", ..tag },
            _ => tag,
        }
    }

    /// Of a state alone.
    pub(crate) fn state(state: impl Borrow<JobState>) -> Self {
        Look::of(state, 0).tag()
    }

    /// Only the word.
    pub(crate) fn plain(state: impl Borrow<JobState>) -> &'static str {
        Look::of(state, 0).word()
    }

    pub(crate) fn class(self) -> String {
        self.look.class()
    }

    pub(crate) fn icon(self) -> String {
        self.look.icon()
    }

    /// The color and shape of one look, with another word.
    pub(crate) const fn words(look: Look, word: &'static str) -> Self {
        Self { look, word }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, word) = (self.look.name(), self.word);
        write!(f, "<span class=\"tag st-{name}\"><svg aria-hidden=\"true\"><use href=\"#i-{name}\"/></svg>{word}</span>")
    }
}

/// Words of ours.
impl HtmlSafe for Tag {}
