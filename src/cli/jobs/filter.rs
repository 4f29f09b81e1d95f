//! The options that say which jobs are meant.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use haulage::{JobFilter, JobId, JobState, ParkedFor, check_name};

use super::super::length;

/// Which jobs; every condition given must hold.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Which jobs")]
pub(crate) struct Filter {
    /// In this state: scheduled, available, running, parked, completed, dead or cancelled; of the parked ones only held, key or suspect
    #[arg(long)]
    state: Option<State>,

    /// Of this queue
    #[arg(long, value_name = "NAME", value_parser = queue_name)]
    queue: Option<String>,

    /// Of this kind
    #[arg(long, value_name = "NAME", value_parser = kind_name)]
    kind: Option<String>,

    /// With this tag
    #[arg(long)]
    tag: Option<String>,

    /// With this among their args, as JSON: '{"order": 42}'
    #[arg(long, value_name = "JSON")]
    args: Option<serde_json::Value>,

    /// Enqueued in this trace: 32 hex digits
    #[arg(long, value_name = "ID", value_parser = trace_id)]
    trace: Option<u128>,

    /// Enqueued at this time or later: 2026-12-24T18:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_after: Option<DateTime<Utc>>,

    /// Enqueued before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<DateTime<Utc>>,

    /// Finished at this time or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    finished_after: Option<DateTime<Utc>>,

    /// Finished before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    finished_before: Option<DateTime<Utc>>,

    /// With this text in their last error
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,

    /// With this class of last error, such as timeout or panic
    #[arg(long, value_name = "CLASS")]
    error_class: Option<String>,

    /// With this error: a fingerprint, 16 hex digits, as the dashboard shows it
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    error_group: Option<String>,

    /// With this unique key, as it was enqueued with; needs --kind
    #[arg(long, value_name = "KEY", requires = "kind")]
    unique_key: Option<String>,

    /// Enqueued by the handler of this job
    #[arg(long, value_name = "ID")]
    parent: Option<JobId>,

    /// Descended from this job
    #[arg(long, value_name = "ID")]
    root: Option<JobId>,
}

/// What lists show as a state: of a parked job, what it is parked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Is(JobState),
    ParkedFor(ParkedFor),
}

impl FromStr for State {
    type Err = <JobState as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::ParkedFor).or_else(|_| text.parse().map(Self::Is))
    }
}

impl Filter {
    pub(crate) fn jobs(self) -> JobFilter {
        let mut filter = JobFilter::new();
        if let (Some(kind), Some(key)) = (&self.kind, &self.unique_key) {
            filter = filter.unique_key(kind, key);
        }
        filter = match self.state {
            Some(State::Is(state)) => filter.state(state),
            Some(State::ParkedFor(what)) => filter.parked_for(what),
            None => filter,
        };
        filter = given(filter, self.queue, JobFilter::queue);
        filter = given(filter, self.kind, JobFilter::kind);
        filter = given(filter, self.tag, JobFilter::tag);
        filter = given(filter, self.args, JobFilter::args);
        filter = given(filter, self.trace, JobFilter::trace);
        filter = given(filter, self.created_after, JobFilter::created_from);
        filter = given(filter, self.created_before, JobFilter::created_before);
        filter = given(filter, self.finished_after, JobFilter::finished_from);
        filter = given(filter, self.finished_before, JobFilter::finished_before);
        filter = given(filter, self.error, JobFilter::error);
        filter = given(filter, self.error_class, JobFilter::error_class);
        filter = given(filter, self.error_group, JobFilter::error_group);
        filter = given(filter, self.parent, JobFilter::parent);
        given(filter, self.root, JobFilter::root)
    }
}

fn given<T>(filter: JobFilter, value: Option<T>, set: impl FnOnce(JobFilter, T) -> JobFilter) -> JobFilter {
    match value {
        Some(value) => set(filter, value),
        None => filter,
    }
}

pub(crate) fn queue_name(text: &str) -> Result<String, haulage::NameError> {
    check_name("queue", text).map(|()| text.to_owned())
}

fn kind_name(text: &str) -> Result<String, haulage::NameError> {
    check_name("kind", text).map(|()| text.to_owned())
}

fn fingerprint(text: &str) -> Result<String, String> {
    let is_one = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_one.then(|| text.to_owned()).ok_or_else(|| "give a fingerprint, 16 hex digits such as 3f9a0c5e7b21d864".to_owned())
}

fn trace_id(text: &str) -> Result<u128, String> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let id = (hex.len() == 32).then(|| u128::from_str_radix(&hex, 16).ok()).flatten();
    id.ok_or_else(|| "give a trace's id, 32 hex digits such as 0af7651916cd43dd8448eb211c80319c".to_owned())
}

/// A moment, or how long ago it was.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    length::parse(text)
        .ok()
        .and_then(|ago| Utc::now().checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?))
        .ok_or_else(|| "give a moment, such as 2026-12-24T18:00:00Z, or how long ago, such as 90s, 2h or 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_asked_for_by_the_word_that_lists_show() {
        assert_eq!("dead".parse(), Ok(State::Is(JobState::Dead)));
        assert_eq!("key".parse(), Ok(State::ParkedFor(ParkedFor::Key)));
        assert!("waiting".parse::<State>().unwrap_err().to_string().contains("available"));
    }

    #[test]
    fn a_moment_is_a_date_or_how_long_ago() {
        assert_eq!(moment("2026-12-24T19:00:00+01:00").unwrap().to_rfc3339(), "2026-12-24T18:00:00+00:00");
        let ago = Utc::now() - moment("2h").unwrap();
        assert!((7_199..7_260).contains(&ago.num_seconds()), "{ago}");
        for text in ["yesterday", "5", "99999999999y", ""] {
            assert!(moment(text).unwrap_err().contains("2026-12-24T18:00:00Z"), "{text}");
        }
    }
}
