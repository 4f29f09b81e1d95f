//! How everything stands, on one page.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{
    JobFilter, JobState, depths, job_page, stats,
    store::{self, RunningJob},
};

use super::{
    act::newest_deed,
    jobs::Row,
    queues::{self, Line, MOST},
    stuck::{Card, cards},
    workers::Process,
};
use crate::{
    app::App,
    chart::{Asked, Ended},
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, capped, encode, mask, number, span_between},
};

/// Of each list.
const SOME: u8 = 8;

/// `GET /`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, asked: &Asked) -> Result<OverviewPage<'a>, Problem> {
    let mut reading = app.list().await?;
    let clock = reading.clock;
    let counts = store::count_states(reading.db()).await?;
    let mut names = store::list_queue_names(reading.db(), MOST.into()).await?;
    // Those that have waited longest first, and only those are counted.
    names.sort_by(|(_, a), (_, b)| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0)));
    let all_queues = names.len();
    let first: Vec<&str> = names.iter().take(SOME.into()).map(|(name, _)| name.as_str()).collect();
    let queues = store::list_queues(reading.db(), Some(&first), None).await?;
    let mut lines: Vec<Line> = queues.into_iter().map(|queue| Line::new(queue, &clock)).collect();
    lines.sort_by_key(|line| first.iter().position(|name| *name == line.queue.name));
    queues::add_paces(reading.db(), &mut lines, &clock).await?;
    let ended = stats(reading.db(), asked.range(), None).await?;
    let depth = depths(reading.db(), asked.range(), None).await?;
    let mut workers: Vec<Process> = app.processes(&mut reading).await?.into_iter().map(Process::new).collect();
    let (alive, all_workers) = (workers.iter().filter(|process| process.lives()).count(), workers.len());
    let slots = workers.iter().filter(|process| process.lives()).map(|process| process.slots).sum();
    workers.truncate(SOME.into());
    let running = store::list_running(reading.db(), None, None, SOME.into()).await?;
    let dead = job_page(reading.db(), &JobFilter::new().state(JobState::Dead).limit(SOME.into())).await?;
    let seen = newest_deed(frame, reading.db()).await?;
    drop(reading);
    let causes = app.causes_if_known().await;
    let count = |state| counts.counts.iter().find(|(each, _)| *each == state).map_or(0, |(_, count)| *count);
    Ok(OverviewPage {
        frame,
        tiles: counts
            .counts
            .iter()
            .map(|(state, count)| (*state, Tag::state(state), shown(*state, *count, counts.completed_about)))
            .collect(),
        unfinished: [JobState::Scheduled, JobState::Available, JobState::Running, JobState::Parked].map(count).iter().sum(),
        oldest: lines.first().filter(|line| line.queue.oldest_s.is_some()).map(|line| (line.oldest.clone(), line.queue.name.clone())),
        queues: lines,
        all_queues,
        workers,
        alive,
        all_workers,
        slots,
        running,
        dead: dead.jobs.into_iter().map(|job| Row::new(job, &clock)).collect(),
        cards: causes.iter().flat_map(|causes| cards(frame, causes.causes.iter().take(3), seen)).collect(),
        causes: causes.map(|causes| causes.causes.len()),
        ended: Ended::new(frame, "overview".to_owned(), asked.range(), &depth, &ended),
        clock,
    })
}

fn shown(state: JobState, count: i64, about: i64) -> String {
    if state == JobState::Completed && count > 10_000 && about > 10_000 { super::jobs::about(about) } else { capped(count) }
}

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    tiles: Vec<(JobState, Tag, String)>,
    unfinished: i64,
    /// How long the oldest waits, and where.
    oldest: Option<(String, String)>,
    queues: Vec<Line>,
    all_queues: usize,
    workers: Vec<Process>,
    alive: usize,
    all_workers: usize,
    slots: i64,
    running: Vec<RunningJob>,
    dead: Vec<Row>,
    cards: Vec<Card>,
    /// All of them; `None` when the database did not say.
    causes: Option<usize>,
    ended: Ended<'a>,
}
