//! All queues.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use haulage_queue::{KeyLimit, Limit, QueueStatus, store};
use sqlx::PgConnection;

use crate::{
    actions::Action,
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Gauge, Look, Spark, Tag, ago, capped, encode, gauge, mask, number, span},
};

/// So many queues are shown. More than a hundred is a sign that queues are used for what keys are for.
pub(crate) const MOST: u16 = 500;

/// `GET /queues`.
pub(crate) async fn page(app: App, frame: Frame) -> Response {
    frame.answer(read(&app, &frame).await)
}

async fn read<'a>(app: &App, frame: &'a Frame) -> Result<QueuesPage<'a>, Problem> {
    let mut reading = app.list().await?;
    let mut queues = store::list_queues(reading.db(), None, Some(i64::from(MOST) + 1)).await?;
    let more = queues.len() > usize::from(MOST);
    queues.truncate(MOST.into());
    let mut keys = store::list_key_limits(reading.db(), Some(i64::from(MOST) + 1)).await?;
    let more_keys = keys.len() > usize::from(MOST);
    keys.truncate(MOST.into());
    let clock = reading.clock;
    let line = |queue| {
        // How long it is paused is changed on its own page.
        let buttons = buttons(frame, &queue, &clock).into_iter().take(1).collect();
        Line { buttons, ..Line::new(queue, &clock) }
    };
    let mut lines: Vec<Line> = queues.into_iter().map(line).collect();
    add_paces(reading.db(), &mut lines, &clock).await?;
    Ok(QueuesPage { frame, clock, queues: lines, more, keys, more_keys })
}

/// Pause it, or let it go on.
pub(crate) fn buttons(frame: &Frame, queue: &QueueStatus, clock: &DateTime<Utc>) -> Vec<Button> {
    let name = queue.name.clone();
    let pause = Action::PauseQueue { queue: name.clone(), length: None };
    let buttons = if is_paused(queue, clock) {
        [Button::new(frame, &Action::ResumeQueue { queue: name }, "Resume").map(Button::first), Button::new(frame, &pause, "Change")]
    } else {
        [Button::new(frame, &pause, "Pause"), None]
    };
    buttons.into_iter().flatten().collect()
}

fn is_paused(queue: &QueueStatus, clock: &DateTime<Utc>) -> bool {
    queue.paused_at.is_some() && queue.paused_until.is_none_or(|until| until > *clock)
}

/// A queue in a list.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) queue: QueueStatus,
    pub(crate) tag: Tag,
    pub(crate) limit: String,
    pub(crate) gauge: Gauge,
    /// "16 / 40"
    pub(crate) slots: String,
    pub(crate) oldest: String,
    pub(crate) paused: bool,
    /// What ended in the last minutes.
    pub(crate) pace: Spark,
    /// Only on the page of all queues.
    pub(crate) buttons: Vec<Button>,
}

impl Line {
    pub(crate) fn new(queue: QueueStatus, clock: &DateTime<Utc>) -> Self {
        let paused = is_paused(&queue, clock);
        let most = queue.limit.max_running().map_or(queue.slots, |most| queue.slots.min(most.into()));
        let tag = if paused {
            Tag::words(Look::Retrying, "Paused")
        } else if queue.workers == 0 && queue.available + queue.parked > 0 {
            Tag::words(Look::Dead, "No worker")
        } else if queue.workers == 0 {
            Tag::words(Look::Cancelled, "Not served")
        } else if queue.available > 0 && queue.running >= most {
            Tag::words(Look::Available, if most < queue.slots { "At its limit" } else { "Slots full" })
        } else {
            Tag::words(Look::Completed, "Open")
        };
        Self {
            tag,
            limit: limit(&queue.limit),
            gauge: gauge(queue.running, most),
            slots: format!("{} / {}", number(queue.running), number(most)),
            oldest: queue.oldest_s.map(|seconds| span(seconds.max(0.0))).unwrap_or_default(),
            paused,
            pace: Spark::new(PACE),
            buttons: Vec::new(),
            queue,
        }
    }
}

/// Minutes of a queue's pace, as many as the statement tells.
const PACE: usize = 30;

/// Adds what ended in each queue of late.
pub(crate) async fn add_paces(db: &mut PgConnection, lines: &mut [Line], clock: &DateTime<Utc>) -> Result<(), Problem> {
    let names: Vec<&str> = lines.iter().map(|line| line.queue.name.as_str()).collect();
    let paces = store::list_paces(db, &names).await?;
    let places: HashMap<String, usize> = names.iter().enumerate().map(|(place, name)| ((*name).to_owned(), place)).collect();
    let now = clock.timestamp().div_euclid(60);
    for (queue, minute, attempts) in paces {
        let ago = usize::try_from(now - minute.timestamp().div_euclid(60)).unwrap_or(usize::MAX);
        if let (Some(place), Some(step)) = (places.get(&queue), PACE.checked_sub(ago)) {
            lines[*place].pace.add(step, attempts);
        }
    }
    Ok(())
}

/// A limit in words; nothing if there is none.
pub(crate) fn limit(limit: &Limit) -> String {
    let running = limit.max_running().map(|most| format!("{most} at once"));
    let starts = limit.max_starts().map(|(count, per, burst)| {
        let rate = format!("{count} starts in {}", span(per.as_secs_f64()));
        if burst == count { rate } else { format!("{rate}, {burst} together") }
    });
    running.into_iter().chain(starts).collect::<Vec<_>>().join("; ")
}

#[derive(Debug, Template)]
#[template(path = "queues.html")]
struct QueuesPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    queues: Vec<Line>,
    /// There are more.
    more: bool,
    keys: Vec<KeyLimit>,
    more_keys: bool,
}
