//! A worker process: handlers that do what their jobs say, and write down when they start and how they end.

use std::{sync::Arc, time::Duration};

use haulage::{Ctx, EnqueueError, Job, JobError, Missed, Outcome, Schedule, State, Worker};
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::sleep;

use crate::{
    history::{End, Enqueued, Event, History},
    job::{Act, Blocking, Bomb, Effect, Forget, Once, Plain, QUEUES, Tick},
    mutant::Mutant,
    role::Role,
};

/// Short, so that a minute holds many deaths; a loaded machine must still keep it.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);
/// Running jobs of a terminated worker have so long.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Fault {
    history: Arc<History>,
    role: Arc<Role>,
}

pub(crate) async fn run(role: Role) -> anyhow::Result<()> {
    let pool = role.pool(12)?;
    let fault = Fault { history: Arc::new(History::open(&role.folder, &role.name)?), role: Arc::new(role) };
    let every_second = Schedule::new("every-second", "* * * * * *", Tick {}).missed(Missed::AllWithin(Duration::from_secs(3_600)));
    let mut worker = Worker::builder(pool)
        .name(fault.role.name.clone())
        .state(fault)
        .heartbeat(HEARTBEAT)
        .lease(LEASE)
        .shutdown_grace(GRACE)
        .backoff(|failures| Duration::from_millis(50 * u64::from(failures)))
        .schedules("faults", [every_second]);
    for (queue, slots) in QUEUES {
        worker = worker.queue(queue, slots);
    }
    worker
        .handle(|job: Effect, ctx: Ctx, State(fault): State<Fault>| fault.effect(job.k, job.act, ctx))
        .handle(|job: Forget, ctx: Ctx, State(fault): State<Fault>| fault.effect(job.k, job.act, ctx))
        .handle(|job: Once, ctx: Ctx, State(fault): State<Fault>| fault.effect(job.k, job.act, ctx))
        .handle(|job: Plain, ctx: Ctx, State(fault): State<Fault>| fault.plain(job.k, job.act, ctx))
        .handle(|_: Tick, ctx: Ctx, State(fault): State<Fault>| fault.plain(String::new(), Act::short(), ctx))
        .handle_blocking(|job: Blocking, ctx: Ctx, State(fault): State<Fault>| fault.blocking(job, &ctx))
        .handle(|job: Bomb, ctx: Ctx, State(fault): State<Fault>| fault.explode(job, ctx))
        .build()?
        .run()
        .await?;
    Ok(())
}

impl Fault {
    fn start(&self, k: &str, ctx: &Ctx) {
        self.history.add(Event::Start { k: k.to_owned(), job: ctx.id().0, attempt: ctx.attempt() });
    }

    fn end(&self, k: &str, ctx: &Ctx, how: End) {
        self.history.add(Event::End { k: k.to_owned(), job: ctx.id().0, attempt: ctx.attempt(), how });
    }

    async fn effect(self, k: String, act: Act, ctx: Ctx) -> Result<Outcome, JobError> {
        self.start(&k, &ctx);
        let result = self.try_effect(&k, &act, &ctx).await;
        let how = match &result {
            Ok(Outcome::Done) => End::Committed,
            Err(error) if error.message().contains("lost its lease") => End::Fenced,
            _ => End::Other,
        };
        self.end(&k, &ctx, how);
        result
    }

    async fn try_effect(&self, k: &str, act: &Act, ctx: &Ctx) -> Result<Outcome, JobError> {
        if self.role.plays(Mutant::AcknowledgeFirst) {
            return self.acknowledge_first(k, ctx).await;
        }
        if let Some(outcome) = work(act, ctx).await? {
            return Ok(outcome);
        }
        let mut tx = ctx.begin().await?;
        self.write_effect(&mut tx, k, ctx).await?;
        let mut children = Vec::new();
        for child in 0..act.children {
            children.push(format!("{k}/{}.{child}", ctx.attempt()));
        }
        let result = self.with_children(&children, tx, ctx).await;
        let how = match &result {
            Ok(_) => Enqueued::Committed,
            Err(error) if error.message().contains("lost its lease") => Enqueued::RolledBack,
            Err(_) => Enqueued::Unknown,
        };
        for k in children {
            self.history.add(Event::Enqueued { k, how });
        }
        result
    }

    async fn write_effect(&self, tx: &mut PgConnection, k: &str, ctx: &Ctx) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO faults.effects (job, k, attempt, process) VALUES ($1, $2, $3, $4)")
            .bind(ctx.id().0)
            .bind(k)
            .bind(ctx.attempt())
            .bind(&self.role.name)
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn with_children(&self, children: &[String], mut tx: Transaction<'static, Postgres>, ctx: &Ctx) -> Result<Outcome, JobError> {
        for k in children {
            self.history.add(Event::Enqueue { k: k.clone(), kind: Effect::KIND.to_owned() });
            ctx.child(Effect { k: k.clone(), act: Act::short() }).enqueue(&mut *tx).await.map_err(|error| match error {
                EnqueueError::LeaseLost { .. } => JobError::from(format!("has lost its lease: {error}")),
                error => error.into(),
            })?;
        }
        ctx.complete(tx).await
    }

    /// The mutant: what must commit together is committed one after the other.
    async fn acknowledge_first(&self, k: &str, ctx: &Ctx) -> Result<Outcome, JobError> {
        let outcome = ctx.complete(ctx.begin().await?).await?;
        sleep(Duration::from_millis(20)).await;
        let mut tx = ctx.begin().await?;
        self.write_effect(&mut tx, k, ctx).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn plain(self, k: String, act: Act, ctx: Ctx) -> Result<Outcome, JobError> {
        self.start(&k, &ctx);
        let result = work(&act, &ctx).await;
        self.end(&k, &ctx, if matches!(result, Ok(None)) { End::Done } else { End::Other });
        Ok(result?.unwrap_or(Outcome::Done))
    }

    fn blocking(self, job: Blocking, ctx: &Ctx) -> Result<Outcome, JobError> {
        self.start(&job.k, ctx);
        std::thread::sleep(Duration::from_millis(job.act.ms + job.act.block_ms));
        let failed = ctx.failures() < job.act.fail;
        self.end(&job.k, ctx, if failed { End::Other } else { End::Done });
        if failed { Err(JobError::from("asked to fail")) } else { Ok(Outcome::Done) }
    }

    async fn explode(self, job: Bomb, ctx: Ctx) -> Result<Outcome, JobError> {
        self.start(&job.k, &ctx);
        sleep(Duration::from_millis(job.act.ms)).await;
        std::process::abort()
    }
}

/// What comes before the effects. An outcome, or an error, is the end of it.
async fn work(act: &Act, ctx: &Ctx) -> Result<Option<Outcome>, JobError> {
    if act.block_ms > 0 {
        std::thread::sleep(Duration::from_millis(act.block_ms));
    }
    let work = sleep(Duration::from_millis(act.ms));
    if act.deaf {
        work.await;
    } else {
        tokio::select! {
            () = work => {}
            () = ctx.cancelled() => return Err("told to stop".into()),
        }
    }
    if act.fatal {
        return Err(JobError::fatal("asked to die"));
    }
    if ctx.failures() < act.fail {
        assert!(!act.panic, "asked to panic");
        return Err("asked to fail".into());
    }
    if ctx.attempt() <= act.snooze {
        return Ok(Some(Outcome::Snooze(Duration::from_millis(100))));
    }
    Ok(None)
}
