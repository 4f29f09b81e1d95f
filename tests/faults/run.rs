//! A run: load under faults, heal, load without, drain, check.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use haulage::{JobId, Limit, Operator};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    evidence::{Evidence, Op},
    fault::Breaker,
    fleet::Fleet,
    handler::{HEARTBEAT, LEASE},
    invariant::{Finding, Invariant, PROMISED, Stage, judge, outages, recoveries},
    job::TENANT_LIMIT,
    mutant::Mutant,
    plan::{Fault, Plan, WORKERS},
    previous::Previous,
    report::Report,
    role::Kind,
    server::Postgres,
    sometimes,
};

const TURN: Duration = Duration::from_millis(20);
/// A mutant is looked at this often.
const LOOK: Duration = Duration::from_secs(3);
/// Once nothing is broken any more, all that was enqueued has ended within this time, or it is lost. A job that is stuck is told from a
/// machine that is slow by what else goes on: once the others have ended nothing does. (It was 60 s whatever went on, which 4,500 jobs on two
/// cores with twenty processes in line were too many for, and one stuck job took as long to be seen.)
const DRAIN: Duration = Duration::from_secs(240);
const DRAIN_OF_MUTANT: Duration = Duration::from_secs(25);
/// And in so long something ends: nothing takes longer than to give back a claim without an answer, 10 s and a heartbeat. A mutant runs
/// without faults meanwhile, and is waited for less.
const STILL: Duration = Duration::from_secs(30);
const STILL_OF_MUTANT: Duration = Duration::from_secs(12);
/// A worker that is asked to stop has ended within this time.
const STOP: Duration = Duration::from_secs(40);
/// The schedule's last instant may be so old at any moment without faults.
const FIRED: f64 = 10.0;

pub(crate) struct Run<'a> {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) previous: Option<Previous>,
    pub(crate) folder: &'a Path,
}

impl Run<'_> {
    pub(crate) async fn run(&self) -> anyhow::Result<Report> {
        let started = Instant::now();
        let postgres = Postgres::start(self.folder, self.mutant.is_none()).await?;
        let pool = postgres.pool.clone();
        match &self.previous {
            Some(previous) => previous.migrate(&pool).await?,
            None => haulage::migrate(&pool).await?,
        }
        sqlx::raw_sql(include_str!("audit.sql")).execute(&pool).await?;
        Operator::new("faults").limit_key(&pool, "tenant:*", Limit::running(TENANT_LIMIT)).await?;
        if let Some(mutant) = self.mutant {
            mutant.install(&pool).await?;
        }
        let fleet = Fleet::start(self.folder.to_owned(), self.seed, self.mutant, self.previous.clone(), &postgres).await?;
        let mut breaker = Breaker::new(postgres, fleet);
        let mut findings = Vec::new();
        let mut drained_after = None;
        self.load(&mut breaker, &mut findings).await?;
        breaker.heal().await?;
        if findings.is_empty() {
            if self.mutant.is_none() {
                calm(&mut breaker).await?;
            }
            drained_after =
                drain(&mut breaker, if self.mutant.is_some() { (DRAIN_OF_MUTANT, STILL_OF_MUTANT) } else { (DRAIN, STILL) }, &mut findings)
                    .await?;
        }
        let evidence = self.gather(&breaker).await?;
        findings.extend(judge(&evidence, if drained_after.is_some() || self.mutant.is_none() { Stage::Drained } else { Stage::Running }));
        if self.mutant.is_none() {
            stop(&mut breaker, &mut findings).await?;
        }
        let relayed = breaker.relayed();
        let mut faults = BTreeMap::new();
        for done in breaker.done.iter().filter(|done| done.hit) {
            *faults.entry(done.fault.word()).or_insert(0) += 1;
        }
        let changes = || evidence.jobs.values().flatten();
        findings.sort_by_key(|finding| finding.invariant);
        Ok(Report {
            seed: self.seed,
            seconds: self.time.as_secs(),
            mutant: self.mutant.map(Mutant::name),
            postgres: breaker.postgres.version.clone(),
            clock: breaker.fleet.clock,
            jobs: evidence.jobs.len(),
            completed: changes().filter(|change| change.finished && change.op == Op::Insert && change.is.state == 5).count(),
            attempts: changes().filter(|change| !change.finished && change.is.state == 2).count(),
            processes: evidence.histories.len(),
            faults,
            findings,
            recoveries: recoveries(&evidence),
            outages: outages(&evidence),
            sometimes: sometimes::count(&evidence, self.folder, relayed, &breaker.postgres),
            rewritten: relayed.rewritten,
            drained_after,
            took: started.elapsed().as_secs_f64(),
        })
    }

    /// Load under faults. A mutant is looked at again and again, until it is caught.
    async fn load(&self, breaker: &mut Breaker, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
        let plan = match self.mutant {
            Some(mutant) => Plan::for_mutant(mutant, self.seed, self.time),
            None => Plan::new(self.seed, self.time, self.previous.is_some()),
        };
        let started = Instant::now();
        let mut steps = plan.steps.into_iter().peekable();
        let mut look = started + LOOK;
        while started.elapsed() < self.time {
            breaker.tend()?;
            if let Some(step) = steps.next_if(|step| step.at <= started.elapsed()) {
                breaker.strike(step.fault).await?;
            }
            if self.mutant.is_some() && Instant::now() > look {
                *findings = judge(&self.gather(breaker).await?, Stage::Running);
                if !findings.is_empty() {
                    return Ok(());
                }
                look = Instant::now() + LOOK;
            }
            sleep(TURN).await;
        }
        Ok(())
    }

    async fn gather(&self, breaker: &Breaker) -> anyhow::Result<Evidence> {
        Evidence::gather(&breaker.postgres.pool, self.folder, breaker.broken()).await
    }
}

/// Load with nothing broken but workers that are killed, one after the other, each until its jobs have been taken from it; and at the
/// second the connections of everybody's duties, which fall silent.
async fn calm(breaker: &mut Breaker) -> anyhow::Result<()> {
    // After an unanswered heartbeat nobody is declared dead for as long as a lease.
    wait(breaker, LEASE + HEARTBEAT * 4).await?;
    breaker.fleet.calm = true;
    for worker in 0..WORKERS / 2 {
        if worker == 1 {
            // What could take its jobs does not hear the database, and must notice that by itself.
            breaker.fleet.relays().for_each(|relay| relay.faults.silence_duties());
        }
        breaker.strike(Fault::KillWorker(worker)).await?;
        // What follows breaks more.
        wait(breaker, Duration::from_secs_f64(PROMISED)).await?;
    }
    breaker.fleet.calm = false;
    breaker.fleet.heal();
    Ok(())
}

async fn wait(breaker: &mut Breaker, time: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        breaker.tend()?;
        sleep(TURN).await;
    }
    Ok(())
}

/// Nothing more is enqueued; what is there must end, and in each time of the second length some of it. Returns how long that took, `None`:
/// it did not.
async fn drain(breaker: &mut Breaker, (patience, still): (Duration, Duration), findings: &mut Vec<Finding>) -> anyhow::Result<Option<f64>> {
    let pool = breaker.postgres.pool.clone();
    breaker.fleet.close(Kind::Producer);
    let started = Instant::now();
    while !breaker.fleet.all_ended(Kind::Producer) && started.elapsed() < patience {
        breaker.tend()?;
        sleep(TURN).await;
    }
    breaker.fleet.kill_all(Kind::Producer);
    let age: f64 = sqlx::query_scalar("SELECT coalesce(extract(epoch FROM now() - max(instant)), 1e9)::float8 FROM haulage.fires")
        .fetch_one(&pool)
        .await?;
    if age > FIRED {
        findings.push(Finding::new(Invariant::Schedule, format!("the schedule has not fired for {age:.1} s")));
    }
    let operator = Operator::new("faults");
    operator.pause_schedule(&pool, "every-second", None).await?;
    let started = Instant::now();
    let mut last = (0, started);
    loop {
        breaker.tend()?;
        // What an enqueuer that was killed has held.
        let held: Vec<i64> = sqlx::query_scalar("SELECT id FROM haulage.live_jobs WHERE parked_for = 1").fetch_all(&pool).await?;
        for id in held {
            operator.release(&pool, JobId(id)).await.ok();
        }
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.live_jobs").fetch_one(&pool).await?;
        if left == 0 {
            return Ok(Some(started.elapsed().as_secs_f64()));
        }
        if left != last.0 {
            last = (left, Instant::now());
        }
        if started.elapsed() > patience || last.1.elapsed() > still {
            let text = format!("{left} jobs have not ended {:.0} s after the last enqueue", started.elapsed().as_secs_f64());
            findings.push(Finding::new(Invariant::Lost, text));
            return Ok(None);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The workers stop in order, and nothing is left behind.
async fn stop(breaker: &mut Breaker, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let pool = breaker.postgres.pool.clone();
    breaker.fleet.close(Kind::Worker);
    let started = Instant::now();
    while !breaker.fleet.all_ended(Kind::Worker) && started.elapsed() < STOP {
        sleep(TURN).await;
    }
    if !breaker.fleet.all_ended(Kind::Worker) {
        findings.push(Finding::new(Invariant::Hygiene, format!("a worker has not stopped within {} s", STOP.as_secs())));
        breaker.fleet.kill_all(Kind::Worker);
    }
    for (what, sql) in LEFT {
        let mut left = 0;
        // The server notices the end of a session a moment later.
        for _ in 0..50 {
            left = count(&pool, sql).await?;
            if left == 0 {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        if left > 0 {
            findings.push(Finding::new(Invariant::Hygiene, format!("{left} {what} are left")));
        }
    }
    Ok(())
}

const LEFT: [(&str, &str); 5] = [
    (
        "sessions",
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'faults'",
    ),
    (
        "advisory locks",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    ("leases", "SELECT count(*) FROM haulage.leases"),
    ("live workers", "SELECT count(*) FROM haulage.workers WHERE dead_at IS NULL"),
    // A job that has not ended holds its key by right, and is found as lost.
    (
        "unique keys of jobs that have ended",
        "SELECT count(*) FROM haulage.unique_keys AS k WHERE k.until IS NULL AND NOT EXISTS (SELECT FROM haulage.live_jobs AS j WHERE j.id = k.job_id)",
    ),
];

async fn count(pool: &PgPool, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}
