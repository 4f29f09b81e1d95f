//! Holds, pauses, limits and the like, which lie over the waits of a job.

use chrono::{DateTime, Utc};

use super::{StoryAct, StoryJob, WaitReason, build::Tree};
use crate::ParkedFor;

/// A stretch of time in which something else made jobs wait.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) reason: WaitReason,
    pub(super) detail: Option<String>,
}

impl Window {
    /// Whether this is the reason where the other would be it.
    pub(super) fn outranks(&self, other: WaitReason) -> bool {
        use WaitReason::{Backoff, Ended, Held, Limit, Line, Paused, Scheduled, Snoozed};
        match self.reason {
            Held | Ended => true,
            Paused => !matches!(other, Held | Ended | Scheduled | Backoff | Snoozed),
            Limit => other == Line,
            _ => false,
        }
    }
}

/// When something else than its own row made the job wait: holds, times in which it was dead or cancelled, and the pauses and limits of
/// the queues that it was in while it was there.
pub(super) fn windows(tree: &Tree<'_>, job: &StoryJob, acts: &[&StoryAct]) -> Vec<Window> {
    let now = job.finished_at.unwrap_or(tree.now);
    let mut windows = limits_and_pauses(tree, job, acts, now);
    let until = |from: usize, verbs: &[&str]| {
        let later = acts[from..].iter().find(|act| verbs.contains(&act.verb.as_str()));
        later.map_or(now, |act| act.at)
    };
    for (n, act) in acts.iter().enumerate() {
        let detail = Some(by(&act.who, act.reason.as_deref()));
        match act.verb.as_str() {
            "hold" => {
                let to = until(n + 1, &["release", "cancel", "discard"]);
                windows.push(Window { from: act.at, to, reason: WaitReason::Held, detail });
            }
            "cancel" | "discard" if acts[n + 1..].iter().any(|act| act.verb == "retry") => {
                windows.push(Window { from: act.at, to: until(n + 1, &["retry"]), reason: WaitReason::Ended, detail });
            }
            _ => {}
        }
    }
    if job.parked_for == Some(ParkedFor::Held) && !acts.iter().any(|act| act.verb == "hold") {
        let detail = Some("since when is not stored".to_owned());
        windows.push(Window { from: job.created_at, to: now, reason: WaitReason::Held, detail });
    }
    windows
}

fn limits_and_pauses(tree: &Tree<'_>, job: &StoryJob, acts: &[&StoryAct], now: DateTime<Utc>) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut from = job.created_at;
    let moves = acts.iter().filter_map(|act| Some((act.queue_before.as_deref()?, act.at)));
    let mut stays: Vec<(&str, DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (queue, at) in moves {
        stays.push((queue, from, at));
        from = at;
    }
    stays.push((&job.queue, from, now));
    for (queue, from, to) in stays {
        for window in of_queue(tree, queue) {
            let (from, to) = (window.from.max(from), window.to.min(to));
            if from < to {
                windows.push(Window { from, to, ..window });
            }
        }
    }
    windows
}

/// The pauses and limits of a queue, as far as the audit or its row tells.
fn of_queue(tree: &Tree<'_>, queue: &str) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let row = tree.rows.queues.iter().find(|row| row.queue == queue);
    let mut pause: Option<(DateTime<Utc>, Option<DateTime<Utc>>, String)> = None;
    let mut limited: Option<DateTime<Utc>> = None;
    let window = |from, to, reason, detail| Window { from, to, reason, detail };
    for act in tree.rows.queue_acts.iter().filter(|act| act.queue == queue) {
        if matches!(act.verb.as_str(), "pause" | "resume")
            && let Some((from, until, by)) = pause.take()
        {
            windows.push(window(from, until.map_or(act.at, |until| until.min(act.at)), WaitReason::Paused, Some(by)));
        }
        match act.verb.as_str() {
            "pause" => pause = Some((act.at, act.paused_until, by(&act.who, act.reason.as_deref()))),
            "limit" => limited = limited.or(Some(act.at)),
            "unlimit" => windows.extend(limited.take().map(|from| window(from, act.at, WaitReason::Limit, None))),
            _ => {}
        }
    }
    // The audit is pruned; the row is there while the pause is.
    let of_row = row.and_then(|row| {
        let by = by(row.paused_by.as_deref().unwrap_or("somebody"), row.paused_why.as_deref());
        Some((row.paused_at?, row.paused_until, by))
    });
    if let Some((from, until, by)) = pause.or(of_row) {
        windows.push(window(from, until.map_or(tree.now, |until| until.min(tree.now)), WaitReason::Paused, Some(by)));
    }
    if let Some(from) = limited.or(row.and_then(|row| row.limited_at)) {
        windows.push(window(from, tree.now, WaitReason::Limit, row.and_then(|row| row.limit.clone())));
    }
    windows
}

fn by(who: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| format!("by {who}"), |reason| format!("by {who}: {reason}"))
}
