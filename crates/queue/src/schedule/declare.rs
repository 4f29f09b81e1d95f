//! Reconciling what a service declares with the rows.

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgConnection, Postgres};

use crate::{
    check_name,
    schedule::{Checked, Schedule, ScheduleError},
    store,
};

/// Makes the schedules of a service those given, and no others: new ones are added, changed ones changed, and what it no longer
/// declares is dropped. A schedule whose times change starts anew from now; one that is paused stays paused. Workers call it when
/// they start; the last process to start decides.
///
/// # Errors
/// [`ScheduleError`]; nothing is changed then.
pub async fn declare_schedules<'c>(
    database: impl Acquire<'c, Database = Postgres>,
    owner: &str,
    schedules: impl IntoIterator<Item = Schedule>,
) -> Result<(), ScheduleError> {
    check_name("service", owner)?;
    let mut checked = schedules.into_iter().map(Schedule::check).collect::<Result<Vec<_>, _>>()?;
    // Two processes that declare the same lock the rows in the same order.
    checked.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = checked.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(ScheduleError::Duplicate { schedule: pair[0].name.clone() });
    }
    let mut tx = database.begin().await?;
    reconcile(&mut tx, owner, &checked).await?;
    tx.commit().await?;
    Ok(())
}

async fn reconcile(connection: &mut PgConnection, owner: &str, schedules: &[Checked]) -> Result<(), ScheduleError> {
    let now: DateTime<Utc> = store::get_clock(&mut *connection).await?;
    let mut next = Vec::new();
    for schedule in schedules {
        let first = schedule.cron.next_after(now);
        let never = || ScheduleError::Never { schedule: schedule.name.clone(), cron: schedule.cron.expression().to_owned() };
        next.push(first.ok_or_else(never)?);
    }
    if let Some((schedule, owner)) = store::declare_schedules(&mut *connection, owner, schedules, &next).await? {
        return Err(ScheduleError::Owned { schedule, owner });
    }
    store::drop_schedules(connection, owner, schedules).await?;
    Ok(())
}
