//! The processes of a run, each behind its relay, and who starts a new one for one that has ended.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    clock::uptime,
    mutant::Mutant,
    plan::{PRODUCERS, WORKERS},
    previous::{MARK, Previous},
    process::{Death, Process, faketime},
    relay::Relay,
    role::{Kind, Role},
    server::Postgres,
};

/// A supervisor takes so long to start a new one.
const RESTART: Duration = Duration::from_millis(300);

pub(crate) struct Fleet {
    places: Vec<Place>,
    folder: PathBuf,
    seed: u64,
    mutant: Option<Mutant>,
    previous: Option<Previous>,
    /// The schema is this version's: half of the processes that are started from now on are, too.
    pub(crate) migrated: bool,
    started: u64,
    pub(crate) deaths: Vec<Death>,
    /// Nothing is broken but what is killed from now on.
    pub(crate) calm: bool,
    /// What libfaketime adds to the wall clock of the last worker.
    pub(crate) clock: Option<&'static str>,
    faketime: Option<PathBuf>,
}

struct Place {
    kind: Kind,
    number: usize,
    url: String,
    relay: Relay,
    process: Option<Process>,
    /// Nobody is started before.
    due: Instant,
    closed: bool,
}

impl Fleet {
    pub(crate) async fn start(
        folder: PathBuf,
        seed: u64,
        mutant: Option<Mutant>,
        previous: Option<Previous>,
        postgres: &Postgres,
    ) -> anyhow::Result<Self> {
        let faketime = faketime();
        let clock = faketime.is_some().then_some(if seed.is_multiple_of(2) { "+1h" } else { "-1h" });
        let mut places = Vec::new();
        for (kind, many) in [(Kind::Worker, WORKERS), (Kind::Producer, PRODUCERS)] {
            for number in 0..many {
                let rewrites = mutant.filter(|_| kind == Kind::Worker).map(Mutant::rewrites).unwrap_or_default();
                let relay = Relay::start(("127.0.0.1".to_owned(), postgres.port), rewrites).await?;
                let url = postgres.url_through(relay.port);
                places.push(Place { kind, number, url, relay, process: None, due: Instant::now(), closed: false });
            }
        }
        let mut fleet = Self {
            places,
            folder,
            seed,
            mutant,
            migrated: previous.is_none(),
            previous,
            started: 0,
            deaths: Vec::new(),
            calm: false,
            clock,
            faketime,
        };
        fleet.tend()?;
        Ok(fleet)
    }

    /// Notes who has ended, and starts others in their places.
    pub(crate) fn tend(&mut self) -> anyhow::Result<()> {
        for index in 0..self.places.len() {
            if self.places[index].process.as_mut().is_some_and(Process::has_ended) {
                self.bury(index, false);
            }
            let place = &mut self.places[index];
            if place.process.is_some() || place.closed || place.due > Instant::now() {
                continue;
            }
            self.started += 1;
            let letter = if place.kind == Kind::Worker { 'w' } else { 'p' };
            let before = self.previous.as_ref().filter(|_| !self.migrated || place.number.is_multiple_of(2));
            let role = Role {
                kind: place.kind,
                name: format!("{letter}{}-{}{}", place.number, self.started, if before.is_some() { MARK } else { "" }),
                url: place.url.clone(),
                folder: self.folder.clone(),
                seed: self.seed.wrapping_mul(1_000).wrapping_add(self.started),
                mutant: self.mutant.map(|mutant| mutant.name().to_owned()),
            };
            let skewed = place.kind == Kind::Worker && place.number + 1 == WORKERS;
            let clock = self.faketime.as_deref().zip(self.clock).filter(|_| skewed);
            place.process = Some(Process::start(&role, before.map(|before| before.program.as_path()), clock)?);
        }
        Ok(())
    }

    fn place(&mut self, kind: Kind, number: usize) -> usize {
        self.places.iter().position(|place| place.kind == kind && place.number == number).unwrap()
    }

    /// SIGKILL; returns who it was.
    pub(crate) fn kill(&mut self, kind: Kind, number: usize) -> Option<String> {
        let index = self.place(kind, number);
        let process = self.places[index].process.as_mut()?;
        let name = process.name.clone();
        process.kill();
        self.bury(index, true);
        Some(name)
    }

    fn bury(&mut self, index: usize, killed: bool) {
        let place = &mut self.places[index];
        if let Some(process) = place.process.take() {
            let death = Death { process: process.name.clone(), kind: place.kind, at: uptime(), killed, calm: self.calm };
            self.deaths.push(death);
            place.due = Instant::now() + RESTART;
        }
    }

    /// Returns who it was.
    pub(crate) fn signal(&mut self, kind: Kind, number: usize, signal: &str) -> Option<String> {
        let index = self.place(kind, number);
        let process = self.places[index].process.as_mut()?;
        process.signal(signal);
        Some(process.name.clone())
    }

    pub(crate) fn relay(&mut self, worker: usize) -> &Relay {
        let index = self.place(Kind::Worker, worker);
        &self.places[index].relay
    }

    pub(crate) fn relays(&self) -> impl Iterator<Item = &Relay> {
        self.places.iter().map(|place| &place.relay)
    }

    /// Everything goes through again, and who stands still goes on.
    pub(crate) fn heal(&mut self) {
        for place in &mut self.places {
            place.relay.faults.heal();
            if let Some(process) = place.process.as_mut().filter(|process| process.stopped) {
                process.signal("CONT");
            }
        }
    }

    /// Asks all of a kind to stop; nobody is started in their places.
    pub(crate) fn close(&mut self, kind: Kind) {
        for place in self.places.iter_mut().filter(|place| place.kind == kind) {
            place.closed = true;
            if let Some(process) = &mut place.process {
                process.signal("TERM");
            }
        }
    }

    pub(crate) fn all_ended(&mut self, kind: Kind) -> bool {
        self.places.iter_mut().filter(|place| place.kind == kind).all(|place| place.process.as_mut().is_none_or(Process::has_ended))
    }

    /// Those that don't.
    pub(crate) fn kill_all(&mut self, kind: Kind) {
        for index in 0..self.places.len() {
            if self.places[index].kind == kind {
                if let Some(process) = &mut self.places[index].process {
                    process.kill();
                }
                self.bury(index, true);
            }
        }
    }
}
