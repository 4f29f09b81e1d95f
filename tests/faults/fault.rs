//! Doing a fault, and undoing it when its time is over.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{clock::uptime, evidence::Broken, fleet::Fleet, plan::Fault, role::Kind, server::Postgres};

/// A migration goes through within this time, under load, with forgotten sessions and held snapshots.
const MIGRATION: Duration = Duration::from_secs(30);

/// A fault as it was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) at: f64,
    pub(crate) fault: Fault,
    /// It has done something: there was somebody to do it to.
    pub(crate) hit: bool,
}

/// What the relays did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relayed {
    /// Answers to COMMIT swallowed.
    pub(crate) commits: u64,
    /// Other answers swallowed.
    pub(crate) answers: u64,
    /// Connections fallen silent.
    pub(crate) silenced: u64,
    /// Statements broken on their way.
    pub(crate) rewritten: u64,
}

pub(crate) struct Breaker {
    pub(crate) postgres: Postgres,
    pub(crate) fleet: Fleet,
    pub(crate) done: Vec<Done>,
    outages: Vec<(&'static str, f64, f64)>,
    migrated: Option<f64>,
    undo: Vec<(Instant, Undo)>,
    /// Sessions that hold a lock or a snapshot.
    sessions: JoinSet<()>,
}

#[derive(Debug)]
enum Undo {
    /// A stopped worker goes on.
    Continue(usize),
    Heal(usize),
}

impl Breaker {
    pub(crate) fn new(postgres: Postgres, fleet: Fleet) -> Self {
        Self { postgres, fleet, done: Vec::new(), outages: Vec::new(), migrated: None, undo: Vec::new(), sessions: JoinSet::new() }
    }

    /// What is due: the ends of faults, new processes for old ones.
    pub(crate) fn tend(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for (_, undo) in self.undo.extract_if(.., |(due, _)| *due <= now) {
            match undo {
                Undo::Continue(worker) => drop(self.fleet.signal(Kind::Worker, worker, "CONT")),
                Undo::Heal(worker) => self.fleet.relay(worker).faults.heal(),
            }
        }
        self.fleet.tend()
    }

    pub(crate) async fn strike(&mut self, fault: Fault) -> anyhow::Result<()> {
        let at = uptime();
        let mut hit = true;
        match fault {
            Fault::KillWorker(worker) => hit = self.fleet.kill(Kind::Worker, worker).is_some(),
            Fault::KillProducer(producer) => hit = self.fleet.kill(Kind::Producer, producer).is_some(),
            Fault::TerminateWorker(worker) => hit = self.fleet.signal(Kind::Worker, worker, "TERM").is_some(),
            Fault::StopWorker(worker, time) => {
                hit = self.fleet.signal(Kind::Worker, worker, "STOP").is_some();
                self.undo.push((Instant::now() + time, Undo::Continue(worker)));
            }
            Fault::TerminateOneBackend => hit = self.terminate(1).await?,
            Fault::TerminateAllBackends => hit = self.terminate(1_000).await?,
            Fault::CrashServer => self.postgres.crash().await?,
            Fault::RestartServer => self.postgres.restart().await?,
            Fault::StopServer(time) => self.postgres.pause(time).await?,
            Fault::Delay(worker, time, delay) => {
                self.fleet.relay(worker).faults.delay(delay);
                self.undo.push((Instant::now() + time, Undo::Heal(worker)));
            }
            Fault::CutConnections(worker, how) => self.fleet.relay(worker).faults.cut(how),
            Fault::BlackHoleOut(worker, time) => {
                self.fleet.relay(worker).faults.close_to_server(true);
                self.undo.push((Instant::now() + time, Undo::Heal(worker)));
            }
            Fault::BlackHoleIn(worker, time) => {
                self.fleet.relay(worker).faults.close_to_client(true);
                self.undo.push((Instant::now() + time, Undo::Heal(worker)));
            }
            Fault::SwallowCommits(many) => self.fleet.relays().for_each(|relay| relay.faults.swallow_commits(many)),
            Fault::SwallowAnswers(worker, many) => self.fleet.relay(worker).faults.swallow_answers(many),
            Fault::SilenceConnections(worker, many) => self.fleet.relay(worker).faults.silence(many),
            Fault::LockTable(time) => self.session("LOCK TABLE haulage.live_jobs IN ACCESS EXCLUSIVE MODE", time),
            Fault::LockRow(time) => {
                self.session(
                    "SELECT id FROM haulage.live_jobs WHERE state = 2 ORDER BY claimed_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED",
                    time,
                );
            }
            Fault::FillDisk(time) => hit = self.postgres.fill_disk(time).await?,
            Fault::Promote(time) => {
                let fleet = &self.fleet;
                let to = |port| fleet.relays().for_each(|relay| relay.faults.lead_to(port));
                hit = self.postgres.promote(time, to).await?;
            }
            Fault::Migrate => {
                self.migrate().await?;
                self.fleet.migrated = true;
                self.migrated = Some(uptime());
            }
            Fault::HoldSnapshot(time) => {
                self.session("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM haulage.live_jobs", time);
            }
        }
        let takes_it_away = matches!(fault, Fault::StopServer(_)) || fault.forgets();
        if hit && takes_it_away {
            self.outages.push((fault.word(), at, uptime()));
        }
        self.done.push(Done { at, fault, hit });
        Ok(())
    }

    /// As a deploy would: what locks the migration's tables for longer than it waits makes it fail, and it is tried again.
    async fn migrate(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + MIGRATION;
        while let Err(error) = haulage::migrate(&self.postgres.pool).await {
            anyhow::ensure!(Instant::now() < deadline, "the schema can't be migrated while workers run: {error:?}");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Of the processes of the run.
    async fn terminate(&self, many: i64) -> anyhow::Result<bool> {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM (
                SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'faults' ORDER BY random() LIMIT $1
             ) AS a",
        )
        .bind(many)
        .fetch_one(&self.postgres.pool)
        .await?;
        Ok(ended > 0)
    }

    /// A session that begins a transaction and forgets it for so long.
    fn session(&mut self, statement: &'static str, time: Duration) {
        let options = self.postgres.pool.connect_options();
        self.sessions.spawn(async move {
            let forgotten = async {
                let mut connection = PgConnection::connect_with(&options).await?;
                sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '3s'").execute(&mut connection).await?;
                sqlx::raw_sql(statement).execute(&mut connection).await?;
                sleep(time).await;
                connection.close().await
            };
            // Another fault may have ended it.
            forgotten.await.ok();
        });
    }

    /// Ends everything that is broken.
    pub(crate) async fn heal(&mut self) -> anyhow::Result<()> {
        self.undo.clear();
        self.sessions.shutdown().await;
        self.fleet.heal();
        self.postgres.answers().await?;
        self.fleet.tend()
    }

    pub(crate) fn broken(&self) -> Broken {
        Broken {
            crashes: self.done.iter().filter(|done| done.hit && done.fault.forgets()).map(|done| done.at).collect(),
            deaths: self.fleet.deaths.clone(),
            outages: self.outages.clone(),
            migrated: self.migrated,
        }
    }

    /// The relays' own count of what they did.
    pub(crate) fn relayed(&self) -> Relayed {
        use std::sync::atomic::Ordering::Relaxed;
        let sum = |count: fn(&crate::relay::Faults) -> u64| self.fleet.relays().map(|relay| count(&relay.faults)).sum();
        Relayed {
            commits: sum(|f| f.swallowed_commits.load(Relaxed)),
            answers: sum(|f| f.swallowed_answers.load(Relaxed)),
            silenced: sum(|f| f.silenced.load(Relaxed)),
            rewritten: sum(|f| f.rewritten.load(Relaxed)),
        }
    }
}
