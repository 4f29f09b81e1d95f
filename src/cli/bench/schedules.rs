//! How late schedules fire, when there are a hundred thousand of them.

use std::time::Duration;

use haulage::{Schedule, declare_schedules};

use super::{jobs::Noop, measure::Meter, report::Row, stage::Stage};

const SCHEDULES: u64 = 100_000;

/// Each fires once a minute, at a second of its own.
pub(crate) async fn run(stage: &Stage, seconds: u32) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    let schedules = (0..SCHEDULES).map(|n| Schedule::new(format!("schedule-{n}"), format!("{} * * * * *", n % 60), Noop::new(n)));
    declare_schedules(&database.pool, "bench", schedules).await?;
    // From now on, not from when they were declared; and without what this update leaves to clean up.
    sqlx::raw_sql(include_str!("due_soon.sql")).execute(&database.pool).await?;
    sqlx::raw_sql("VACUUM (ANALYZE) haulage.schedules").execute(&database.pool).await?;
    let mut worker = stage.worker(&database, 1).await?;
    worker.go().await?;
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    tokio::time::sleep(Duration::from_secs(u64::from(seconds) + 5)).await;
    let cost = meter.stop().await?;
    let end: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&database.pool).await?;
    let fired: i64 =
        sqlx::query_scalar("SELECT count(*) FROM haulage.fires WHERE fired_at <= $1").bind(end).fetch_one(&database.pool).await?;
    worker.stop().await?;
    // Until the job is claimed: what is written about a fire is the time at which its transaction began.
    let mut late: Vec<f64> = sqlx::query_scalar(include_str!("late.sql")).bind(end).fetch_all(&database.pool).await?;
    anyhow::ensure!(!late.is_empty(), "no schedule fired");
    stage.remove(database).await?;
    let row = Row::new("100000 schedules", fired.try_into()?, &cost, stage.config()).times(&mut late);
    let p99 = row.p99_ms;
    Ok(row.at_most("p99 from the instant to the claim in ms", p99, 1_000.0))
}
