//! Doing it: the deed and its row in the audit in one transaction, which waits for nobody for long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use haulage_queue::{
    Acted, AuditFilter, JobFilter, JobId, JobState, ManageError, Operation, OperationId, Operator, Preview, Verb, list_audit,
    list_operations, preview, store,
};
use sqlx::PgConnection;

use super::{Action, Actor, Done, Refusal, args};
use crate::app::App;

/// A deed's statements end after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// And wait for a lock so long: a person waits for the answer.
const LOCKED: Duration = Duration::from_secs(2);
/// Counting what would be meant may take so long.
const COUNTING: Duration = Duration::from_secs(5);
/// So many of the newest deeds or operations are looked through for one that was done twice.
const RECENT: u16 = 50;

impl App {
    /// Does it, if this actor may; with a reason for the audit.
    pub(crate) async fn perform(&self, actor: &Actor, action: &Action, reason: Option<&str>) -> Result<Done, Refusal> {
        actor.check(action)?;
        let operator = actor.operator(reason);
        let mut tx = self.pool.begin().await?;
        store::limit_statement(&mut *tx, PATIENCE).await?;
        store::limit_lock(&mut *tx, LOCKED).await?;
        let done = deed(&mut tx, &operator, actor, action).await?;
        tx.commit().await?;
        self.forget().await;
        if let (Some(id), Action::Jobs { .. } | Action::ResumeOperation { .. }) = (done.operation, action) {
            self.drivers.drive(&self.pool, id);
        }
        Ok(done)
    }

    /// What a verb on many jobs would mean.
    pub(crate) async fn preview(&self, actor: &Actor, verb: &Verb, filter: &JobFilter) -> Result<Preview, Refusal> {
        actor.check_role(Action::verb_needs(verb))?;
        let (mut tx, _) = store::start_reading(&self.pool, COUNTING).await?;
        Ok(preview(&mut *tx, verb.clone(), filter).await?)
    }
}

/// In a transaction of the caller's, who has asked whether this actor may.
pub(crate) async fn deed(tx: &mut PgConnection, operator: &Operator, actor: &Actor, action: &Action) -> Result<Done, Refusal> {
    Ok(match action {
        Action::Job { id, verb } => {
            let acted = operator.act(&mut *tx, *id, verb.clone()).await?;
            Done::new(sentence(verb, &acted)).job(*id, acted.now)
        }
        Action::RunAgain { id, seen } => {
            not_since(tx, &format!("job {id}"), "run-again", AuditFilter::new().job(*id), *seen).await?;
            let new = operator.run_again(&mut *tx, *id).await?;
            Done::new(format!("Job {id} runs again as job {new}.")).job(new, Some(JobState::Available))
        }
        Action::EditArgs { id, args, seen } => {
            let old = store::get_args(&mut *tx, *id).await?.ok_or_else(|| gone(*id))?;
            if seen.as_ref().is_some_and(|seen| *seen != args::fingerprint(&old)) {
                return Err(Refusal::NoLongerApplies(format!("job {id} has other args by now than those that were edited")));
            }
            let new = args::restore(args, &old)?;
            operator.edit_args(&mut *tx, *id, &new, Some(&old)).await?;
            Done::new(format!("Job {id} has its new args.")).job(*id, None)
        }
        Action::Jobs { verb, filter, seen } => start(tx, operator, actor, verb, filter, *seen).await?,
        Action::CancelOperation { id } => {
            let stopped = operator.cancel_operation(&mut *tx, *id).await?;
            Done::new(format!("Operation {id} is cancelled; the {} jobs that had their turn stay as they are.", stopped.done))
                .operation(*id)
        }
        Action::ResumeOperation { id } => {
            operator.resume_operation(&mut *tx, *id).await?;
            Done::new(format!("Operation {id} goes on.")).operation(*id)
        }
        Action::PauseQueue { queue, length } => {
            let until = operator.pause_queue(&mut *tx, queue, *length).await?;
            Done::new(format!("Queue {queue} is paused{}. What runs goes on.", to(until)))
        }
        Action::ResumeQueue { queue } => match operator.resume_queue(&mut *tx, queue).await? {
            true => Done::new(format!("Queue {queue} goes on.")),
            false => Done::nothing(format!("Queue {queue} was not paused any more.")),
        },
        Action::QuietWorker { worker } => {
            operator.quiet_worker(&mut *tx, *worker).await?;
            Done::new("The worker is told to claim nothing more, and hears it by its next heartbeat. What it runs goes on.")
        }
        Action::ResumeWorker { worker } => match operator.resume_worker(&mut *tx, *worker).await? {
            true => Done::new("The worker claims again, from its next heartbeat on."),
            false => Done::nothing("The worker was not quiet any more."),
        },
        Action::LimitQueue { queue, limit } => {
            operator.limit_queue(&mut *tx, queue, *limit).await?;
            Done::new(format!("Queue {queue} has {}.", if limit.is_some() { "its new limits" } else { "no limits any more" }))
        }
        Action::LimitKey { key, limit: Some(limit) } => {
            operator.limit_key(&mut *tx, key, *limit).await?;
            Done::new(format!("Key {key} has its new limits."))
        }
        Action::LimitKey { key, limit: None } => match operator.unlimit_key(&mut *tx, key).await? {
            true => Done::new(format!("Key {key} has no limits any more.")),
            false => Done::nothing(format!("Key {key} had no limits.")),
        },
        Action::PauseSchedule { schedule, length } => {
            let until = operator.pause_schedule(&mut *tx, schedule, *length).await?;
            Done::new(format!("Schedule {schedule} is paused{}. What comes meanwhile is not made up.", to(until)))
        }
        Action::ResumeSchedule { schedule } => match operator.resume_schedule(&mut *tx, schedule).await? {
            true => Done::new(format!("Schedule {schedule} goes on.")),
            false => Done::nothing(format!("Schedule {schedule} was not paused any more.")),
        },
        Action::RunSchedule { schedule, seen } => {
            not_since(tx, &format!("schedule {schedule}"), "run-now", AuditFilter::new().schedule(schedule), *seen).await?;
            let id = operator.run_schedule(&mut *tx, schedule).await?;
            Done::new(format!("Schedule {schedule} has enqueued job {id}.")).job(id, Some(JobState::Available))
        }
        Action::EndSession { pid, backend_start } => match operator.end_session(&mut *tx, *pid, *backend_start).await? {
            true => Done::new(format!("Session {pid} is told to end; its transaction is rolled back.")),
            false => return Err(Refusal::NoLongerApplies(format!("session {pid} has ended, or is another one by now"))),
        },
    })
}

/// Refuses what was done to this target since somebody looked: a form that is sent twice.
async fn not_since(tx: &mut PgConnection, target: &str, verb: &str, filter: AuditFilter, seen: Option<i64>) -> Result<(), Refusal> {
    let Some(seen) = seen else { return Ok(()) };
    store::take_turn(tx, &format!("{verb} {target}")).await?;
    let deeds = list_audit(&mut *tx, &filter.limit(RECENT)).await.map_err(|error| Refusal::Failed(error.into()))?;
    let again = deeds.into_iter().find(|deed| deed.id > seen && deed.verb == verb && deed.target == target);
    let Some(deed) = again else { return Ok(()) };
    let made = deed.after.as_ref().and_then(|after| after.get("job")).map(|job| format!(", as job {job}")).unwrap_or_default();
    Err(Refusal::NoLongerApplies(format!("{} has done it{made} since this page was loaded", deed.who)))
}

async fn start(
    tx: &mut PgConnection,
    operator: &Operator,
    actor: &Actor,
    verb: &Verb,
    filter: &JobFilter,
    seen: Option<OperationId>,
) -> Result<Done, Refusal> {
    if let Some(seen) = seen {
        store::take_turn(tx, &format!("start {}", actor.name.as_deref().unwrap_or_default())).await?;
        let newest = list_operations(&mut *tx, None, RECENT).await.map_err(|error| Refusal::Failed(error.into()))?;
        let same = |other: &&Operation| {
            other.id > seen && Some(&other.who) == actor.name.as_ref() && other.verb == *verb && other.filter == *filter
        };
        if let Some(other) = newest.iter().find(same) {
            return Ok(Done::nothing(format!("Operation {} was started already.", other.id)).operation(other.id));
        }
    }
    let started = operator.start(&mut *tx, verb.clone(), filter).await?;
    Ok(Done::new(format!("Operation {} is started.", started.id)).operation(started.id))
}

fn gone(id: JobId) -> Refusal {
    ManageError::NotFound { id }.into()
}

fn to(until: Option<DateTime<Utc>>) -> String {
    until.map_or_else(|| " until somebody resumes it".to_owned(), |until| format!(" until {} UTC", until.format("%Y-%m-%d %H:%M:%S")))
}

fn sentence(verb: &Verb, acted: &Acted) -> String {
    let (id, was) = (acted.id, acted.was);
    match (verb, acted.now) {
        (_, None) => format!("Job {id} was {was} and is deleted."),
        (Verb::Cancel, Some(JobState::Running)) => {
            format!("Job {id} is running; its worker is told to stop it, and it may complete first.")
        }
        (Verb::Retry, Some(JobState::Parked)) => format!("Job {id} was {was} and waits to run alone, or for its limit key."),
        (Verb::Hold, _) => format!("Job {id} was {was} and is held."),
        (Verb::Move { queue }, Some(now)) => format!("Job {id} is {now} in the queue {queue}."),
        (Verb::Reprioritise { priority }, Some(now)) => format!("Job {id} is {now} with the priority {priority}."),
        (_, Some(now)) => format!("Job {id} was {was} and is {now}."),
    }
}
