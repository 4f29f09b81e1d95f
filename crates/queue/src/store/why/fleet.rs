//! The workers: what they are, what they run, and how it went lately.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Result, job::holder, seconds};
use crate::{
    Health, JobId,
    why::facts::{OddFacts, OrphanFacts, RunningFacts, Shape, UsualFacts},
};

/// The workers, those alike together.
pub(crate) async fn why_fleet(connection: &mut PgConnection) -> Result<Vec<Shape>> {
    let rows = sqlx::query(include_str!("../../sql/why_fleet.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Shape {
                alive: row.try_get("alive")?,
                quiet: row.try_get("quiet")?,
                workers: row.try_get("workers")?,
                queues: row.try_get("queues")?,
                slots: row.try_get("slots")?,
                kinds: row.try_get("kinds")?,
                revisions: row.try_get("revisions")?,
                started_at: row.try_get("started_at")?,
                last_beat: row.try_get("last_beat")?,
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                id: row.try_get("id")?,
                quiet_at: row.try_get("quiet_at")?,
                quiet_by: row.try_get("quiet_by")?,
                quiet_why: row.try_get("quiet_why")?,
            })
        })
        .collect()
}

/// What runs, by queue and kind.
pub(crate) async fn why_running(connection: &mut PgConnection) -> Result<BTreeMap<(String, String), RunningFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_running.sql")).fetch_all(connection).await?;
    let job = |row: &PgRow, name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(JobId));
    rows.iter()
        .map(|row| {
            let facts = RunningFacts {
                jobs: row.try_get("jobs")?,
                oldest: row.try_get("oldest")?,
                newest: row.try_get("newest")?,
                newest_of: row.try_get("newest_of")?,
                oldest_job: JobId(row.try_get("oldest_job")?),
                oldest_worker: row.try_get("oldest_worker")?,
                late: row.try_get("late")?,
                deadline: row.try_get("deadline")?,
                late_job: job(row, "late_job")?,
                late_worker: row.try_get("late_worker")?,
                late_timeout_ms: row.try_get("late_timeout_ms")?,
                cancelling: row.try_get("cancelling")?,
                cancel_at: row.try_get("cancel_at")?,
                cancel_job: job(row, "cancel_job")?,
                cancel_worker: row.try_get("cancel_worker")?,
            };
            Ok(((row.try_get("queue")?, row.try_get("kind")?), facts))
        })
        .collect()
}

/// How kinds fared lately, and the finished and arrived jobs a second by queue.
pub(crate) async fn why_usual(connection: &mut PgConnection, newest: i32) -> Result<(BTreeMap<(String, String), UsualFacts>, Paces)> {
    let rows = sqlx::query(include_str!("../../sql/why_usual.sql")).bind(newest).fetch_all(connection).await?;
    let (mut usual, mut paces) = (BTreeMap::new(), Paces::new());
    for row in &rows {
        let queue: String = row.try_get("queue")?;
        let window = window(row)?;
        let pace = paces.entry(queue.clone()).or_default();
        pace.0 += row.try_get::<i64, _>("arrived")? as f64 / window;
        pace.1 += row.try_get::<i64, _>("done")? as f64 / window;
        let facts = UsualFacts {
            jobs: row.try_get("jobs")?,
            p50_s: row.try_get("p50_s")?,
            p95_s: row.try_get("p95_s")?,
            last_claim: row.try_get("last_claim")?,
            last_claim_of: row.try_get("last_claim_of")?,
            last_end: row.try_get("last_end")?,
        };
        usual.insert((queue, row.try_get("kind")?), facts);
    }
    Ok((usual, paces))
}

/// By queue: jobs a second that arrived and ended.
pub(crate) type Paces = BTreeMap<String, (f64, f64)>;

/// How many unfinished jobs came to each queue lately, a second.
pub(crate) async fn why_arrivals(connection: &mut PgConnection, newest: i32) -> Result<BTreeMap<String, f64>> {
    let rows = sqlx::query(include_str!("../../sql/why_arrivals.sql")).bind(newest).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let window = window(row)?;
            Ok((row.try_get("queue")?, row.try_get::<i64, _>("arrived")? as f64 / window))
        })
        .collect()
}

/// The seconds over which jobs were counted.
fn window(row: &PgRow) -> Result<f64> {
    Ok(row.try_get::<Option<f64>, _>("window_s")?.unwrap_or(300.0).max(1.0))
}

/// Jobs that are recorded as running on workers that are gone.
pub(crate) async fn why_orphans(connection: &mut PgConnection) -> Result<Vec<OrphanFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_orphans.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(OrphanFacts {
                holder: holder(row)?,
                jobs: row.try_get("jobs")?,
                job: JobId(row.try_get("job")?),
                oldest: row.try_get("oldest")?,
            })
        })
        .collect()
}

/// Live workers whose clock is off by more than this, or that have heard no notification for so long.
pub(crate) async fn why_workers(connection: &mut PgConnection, clock: TimeDelta, deaf: TimeDelta) -> Result<Vec<OddFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_workers.sql"))
        .bind(i32::try_from(clock.num_milliseconds()).unwrap_or(i32::MAX))
        .bind(seconds(deaf))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let off = row.try_get::<Option<bool>, _>("clock_off")?.unwrap_or(false);
            let offset: Option<i32> = row.try_get("clock_offset_ms")?;
            Ok(OddFacts {
                worker: row.try_get("name")?,
                clock_offset_ms: offset.filter(|_| off).map(i64::from),
                heard_at: row.try_get("heard_at")?,
            })
        })
        .collect()
}

/// How the workers and the history are; the server is left out.
pub(crate) async fn why_health(connection: &mut PgConnection) -> Result<Health> {
    let row = sqlx::query(include_str!("../../sql/why_health.sql")).fetch_one(connection).await?;
    Ok(Health {
        clock: row.try_get("clock")?,
        workers: row.try_get("alive")?,
        listening: row.try_get("listen")?,
        polling: row.try_get("poll")?,
        clock_off_ms: row.try_get("clock_off_ms")?,
        sees_sessions: row.try_get("sees_sessions")?,
        oldest_session: None,
        oldest_pid: None,
        oldest_s: None,
        dead_rows: 0,
        connections: 0,
        most_connections: 0,
        partition_today: row.try_get("today")?,
        partition_tomorrow: row.try_get("tomorrow")?,
    })
}
