//! What is broken when: all of it from the seed, before the run starts, so that a seed replays the same faults at the same times.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{handler::LEASE, mutant::Mutant, relay::Cut};

/// Workers and enqueuers of a run.
pub(crate) const WORKERS: usize = 4;
pub(crate) const PRODUCERS: usize = 2;

/// Something that is done to the run. Workers and enqueuers are told by their place in the fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    KillWorker(usize),
    StopWorker(usize, Duration),
    TerminateWorker(usize),
    KillProducer(usize),
    TerminateOneBackend,
    TerminateAllBackends,
    CrashServer,
    RestartServer,
    StopServer(Duration),
    Delay(usize, Duration, Duration),
    CutConnections(usize, Cut),
    /// Nothing that it sends arrives, for longer than its lease.
    BlackHoleOut(usize, Duration),
    /// Nothing that is sent to it arrives.
    BlackHoleIn(usize, Duration),
    SwallowCommits(i64),
    SwallowAnswers(usize, i64),
    /// So many of its connections, each as it is used next, carry nothing any more, and nobody closes them.
    SilenceConnections(usize, i64),
    LockTable(Duration),
    LockRow(Duration),
    HoldSnapshot(Duration),
    /// Nothing more fits on the server's disk.
    FillDisk(Duration),
    /// The server is lost, and its replica takes no writes for so long before it is promoted.
    Promote(Duration),
    /// The schema of the version before becomes that of this one, while its workers run.
    Migrate,
}

impl Fault {
    /// The word that a report counts it under.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::KillWorker(_) => "worker killed",
            Self::StopWorker(_, time) if time > LEASE => "worker stopped beyond its lease",
            Self::StopWorker(..) => "worker stopped within its lease",
            Self::TerminateWorker(_) => "worker terminated",
            Self::KillProducer(_) => "enqueuer killed",
            Self::TerminateOneBackend => "one backend terminated",
            Self::TerminateAllBackends => "all backends terminated",
            Self::CrashServer => "server crashed",
            Self::RestartServer => "server restarted, immediate",
            Self::StopServer(_) => "server stopped",
            Self::Delay(..) => "connections delayed",
            Self::CutConnections(_, Cut::Fin) => "connections closed",
            Self::CutConnections(_, Cut::Reset) => "connections reset",
            Self::BlackHoleOut(..) => "black hole, outwards",
            Self::BlackHoleIn(..) => "black hole, inwards",
            Self::SwallowCommits(_) => "answers to COMMIT swallowed",
            Self::SwallowAnswers(..) => "other answers swallowed",
            Self::SilenceConnections(..) => "connections fallen silent",
            Self::LockTable(_) => "table locked",
            Self::LockRow(_) => "row locked by a forgotten session",
            Self::HoldSnapshot(_) => "snapshot held",
            Self::FillDisk(_) => "disk full",
            Self::Promote(_) => "replica promoted",
            Self::Migrate => "schema migrated",
        }
    }

    /// Whether the server may forget what it had not flushed.
    pub(crate) fn forgets(self) -> bool {
        matches!(self, Self::CrashServer | Self::RestartServer | Self::FillDisk(_) | Self::Promote(_))
    }
}

/// A fault and how long after the start it happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// What brings out what is wrong with a mutant.
    pub(crate) fn for_mutant(mutant: Mutant, seed: u64, time: Duration) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut at = Duration::from_secs(3);
        let mut steps = Vec::new();
        while at < time {
            let worker = random.random_range(0..WORKERS);
            let fault = match mutant {
                Mutant::CompleteById => Fault::StopWorker(worker, LEASE.mul_f64(random.random_range(1.25..1.6))),
                // Who stands still has claimed what the crash forgets, and finishes it while another one has it.
                Mutant::TokensRepeat => {
                    let time = LEASE.mul_f64(random.random_range(0.3..0.6));
                    steps.push(Step { at, fault: Fault::StopWorker(worker, time) });
                    Fault::CrashServer
                }
                Mutant::RescueById | Mutant::AcknowledgeFirst => Fault::KillWorker(worker),
                Mutant::ReplyNeverGivenBack => Fault::SwallowAnswers(worker, 4),
                _ => break,
            };
            steps.push(Step { at, fault });
            at += Duration::from_millis(random.random_range(800..1_500));
        }
        Self { steps }
    }

    /// Decks of all faults, each shuffled, so that a minute holds each at least once.
    pub(crate) fn new(seed: u64, time: Duration, previous: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut steps, mut at) = (Vec::new(), Duration::from_secs(3));
        while at < time {
            let mut deck = deck(&mut random);
            deck.shuffle(&mut random);
            for fault in deck {
                if at >= time {
                    break;
                }
                steps.push(Step { at, fault });
                at += Duration::from_millis(random.random_range(700..3_000));
            }
        }
        // Once, and after the disk was full, which its replica's is not.
        let promotion = Fault::Promote(Duration::from_millis(random.random_range(2_000..4_000)));
        steps.push(Step { at: time.mul_f64(random.random_range(0.5..0.8)), fault: promotion });
        let full = Fault::FillDisk(Duration::from_millis(random.random_range(500..2_000)));
        steps.push(Step { at: time.mul_f64(random.random_range(0.1..0.4)), fault: full });
        if previous {
            steps.push(Step { at: time.mul_f64(random.random_range(0.2..0.3)), fault: Fault::Migrate });
        }
        steps.sort_by_key(|step| step.at);
        Self { steps }
    }
}

fn deck(random: &mut StdRng) -> Vec<Fault> {
    let beyond = |random: &mut StdRng| LEASE.mul_f64(random.random_range(1.3..2.2));
    let brief = |random: &mut StdRng| Duration::from_millis(random.random_range(300..2_000));
    let worker = |random: &mut StdRng| random.random_range(0..WORKERS);
    vec![
        Fault::KillWorker(worker(random)),
        Fault::KillWorker(worker(random)),
        Fault::KillWorker(worker(random)),
        Fault::StopWorker(worker(random), beyond(random)),
        Fault::StopWorker(worker(random), beyond(random)),
        Fault::StopWorker(worker(random), brief(random)),
        Fault::TerminateWorker(worker(random)),
        Fault::KillProducer(random.random_range(0..PRODUCERS)),
        Fault::TerminateOneBackend,
        Fault::TerminateAllBackends,
        Fault::CrashServer,
        Fault::RestartServer,
        Fault::StopServer(brief(random)),
        Fault::Delay(worker(random), brief(random) * 2, Duration::from_millis(random.random_range(20..150))),
        Fault::CutConnections(worker(random), Cut::Fin),
        Fault::CutConnections(worker(random), Cut::Reset),
        Fault::BlackHoleOut(worker(random), beyond(random)),
        Fault::BlackHoleIn(worker(random), beyond(random)),
        Fault::SwallowCommits(random.random_range(2..6)),
        Fault::SwallowAnswers(worker(random), random.random_range(2..6)),
        Fault::SwallowAnswers(worker(random), random.random_range(2..6)),
        Fault::SilenceConnections(worker(random), random.random_range(1..4)),
        Fault::LockTable(brief(random)),
        Fault::LockRow(brief(random) * 2),
        Fault::HoldSnapshot(brief(random) * 5),
    ]
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{:7.2} s  {:?}", step.at.as_secs_f64(), step.fault)?;
        }
        Ok(())
    }
}
