//! Firing what is due. Any worker may; the rows' locks keep two of them apart, and the key (schedule, instant) keeps an instant
//! from firing twice whatever happens to the rows.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};

use crate::{
    TraceContext,
    schedule::Cron,
    store::{self, Due, Fire, Fired, Unreadable},
    telemetry::{self, Tick},
};

/// Schedules a transaction: what a transaction costs is spread thin, and what it makes is seen soon.
const BATCH: i32 = 500;
/// Instants a transaction, of all its schedules.
const CROWD: usize = 10_000;
/// A crowd is fired for this long before the other duties have their turn.
const TURN: Duration = Duration::from_millis(250);
/// What is due and locked by somebody else is looked at again after so many seconds.
const LOCKED: f64 = 0.2;
/// Instants of one schedule a transaction; the rest comes in the next.
const INSTANTS: usize = 1_000;
/// Later than this an instant counts as missed.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// What a worker remembers between rounds: the parsed expressions.
#[derive(Debug, Default)]
pub struct Firing {
    crons: HashMap<(String, String), Cron>,
    unreadable: Unreadable,
}

/// Fires what is due, and tells in how many seconds the next is; `None`: there is none. A schedule whose expression this program
/// can't read, because a newer one wrote it, is left to others as it is; one that is mended is read again.
#[doc(hidden)]
pub async fn fire_schedules(connection: &mut PgConnection, firing: &mut Firing) -> Result<Option<f64>, sqlx::Error> {
    let started = Instant::now();
    loop {
        let mut tx = connection.begin().await?;
        let due = store::lock_due_schedules(&mut tx, BATCH, &firing.unreadable).await?;
        if due.is_empty() {
            let next = store::next_schedule(&mut tx, &firing.unreadable).await?;
            tx.commit().await?;
            return Ok(next.map(|seconds| if seconds > 0.0 { seconds } else { LOCKED }));
        }
        let mut left = due.len() >= BATCH.unsigned_abs() as usize;
        let mut crowd = 0;
        let mut fires = Vec::with_capacity(due.len());
        let mut about = HashMap::with_capacity(due.len());
        for due in due {
            // The rest is let go with the commit.
            if crowd >= CROWD {
                left = true;
                break;
            }
            let of = (due.name.clone(), About::from(&due));
            let Some(fire) = firing.decide(due) else { continue };
            about.extend([of]);
            crowd += fire.instants.len();
            left |= fire.instants.len() >= INSTANTS;
            fires.push(fire);
        }
        if !fires.is_empty() {
            let fired = store::fire_schedules(&mut tx, &fires).await?;
            // Each tick is a new trace; its span ends here.
            let ticks: Vec<_> = fired.iter().filter_map(|fired| Some((fired.job, about.get(&fired.schedule)?.tick(fired)?))).collect();
            if !ticks.is_empty() {
                store::trace_jobs(&mut tx, &ticks).await?;
            }
        }
        tx.commit().await?;
        if !left {
            return store::next_schedule(connection, &firing.unreadable).await;
        }
        if started.elapsed() >= TURN {
            return Ok(Some(0.0));
        }
    }
}

/// What a tick says about its schedule.
struct About {
    kind: String,
    queue: String,
    clock: DateTime<Utc>,
}

impl From<&Due> for About {
    fn from(due: &Due) -> Self {
        Self { kind: due.kind.clone(), queue: due.queue.clone(), clock: due.clock }
    }
}

impl About {
    fn tick(&self, fired: &Fired) -> Option<TraceContext> {
        telemetry::tick(&Tick {
            schedule: &fired.schedule,
            kind: &self.kind,
            queue: &self.queue,
            job: fired.job,
            lag: (self.clock - fired.instant).to_std().unwrap_or_default(),
        })
    }
}

impl Firing {
    /// Which instants fire, and which comes next; `None`: this program can't read it.
    fn decide(&mut self, due: Due) -> Option<Fire> {
        if self.crons.len() > 200_000 {
            self.crons.clear();
        }
        let cron = match self.crons.entry((due.cron.clone(), due.zone.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match Cron::new(&due.cron, &due.zone) {
                Ok(cron) => new.insert(cron),
                Err(error) => {
                    tracing::error!(schedule = due.name, %error, "this program can't read the schedule's times; it is left to others");
                    // A next instant that we wrote would let those who can read it pass over this one.
                    self.unreadable.crons.push(due.cron);
                    self.unreadable.zones.push(due.zone);
                    return None;
                }
            },
        };
        // Before next_at everything is decided, and what a pause that has ended by itself held up is not missed.
        let from = due.paused_until.map_or(due.next_at - TimeDelta::seconds(1), |end| end.max(due.next_at - TimeDelta::seconds(1)));
        let one = |from| {
            let (last, next) = cron.around(from, due.clock);
            (last.into_iter().collect(), next)
        };
        let (instants, next) = match (due.missed, due.missed_for_s) {
            (0, _) => one(from.max(due.clock - LATE)),
            (2, Some(seconds)) => {
                let from = from.max(due.clock - TimeDelta::seconds(seconds.into()));
                let mut coming = cron.after(from).take(INSTANTS + 1).peekable();
                let mut instants = Vec::new();
                while let Some(instant) = coming.next_if(|instant| *instant <= due.clock && instants.len() < INSTANTS) {
                    instants.push(instant);
                }
                (instants, coming.next())
            }
            _ => one(from),
        };
        Some(Fire { next, place: due.place, instants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn due(missed: i16, missed_for_s: Option<i32>) -> Due {
        Due {
            place: "(0,1)".to_owned(),
            name: "it".to_owned(),
            cron: "0 * * * *".to_owned(),
            zone: "UTC".to_owned(),
            missed,
            missed_for_s,
            next_at: at("2026-11-24T01:00:00Z"),
            paused_until: None,
            clock: at("2026-11-24T05:30:00Z"),
            kind: "it".to_owned(),
            queue: "default".to_owned(),
        }
    }

    fn hours(fire: Option<Fire>) -> Vec<String> {
        fire.unwrap().instants.iter().map(|instant| instant.format("%H").to_string()).collect()
    }

    #[test]
    fn missed_instants_follow_the_policy() {
        let mut firing = Firing::default();
        assert_eq!(hours(firing.decide(due(0, None))), [""; 0]);
        assert_eq!(hours(firing.decide(Due { clock: at("2026-11-24T05:00:30Z"), ..due(0, None) })), ["05"]);
        assert_eq!(hours(firing.decide(due(1, None))), ["05"]);
        assert_eq!(hours(firing.decide(due(2, Some(86_400)))), ["01", "02", "03", "04", "05"]);
        assert_eq!(hours(firing.decide(due(2, Some(2 * 3_600)))), ["04", "05"]);
        for policy in [due(0, None), due(1, None), due(2, Some(60))] {
            assert_eq!(firing.decide(policy).unwrap().next, Some(at("2026-11-24T06:00:00Z")));
        }
    }

    #[test]
    fn what_a_pause_held_up_is_not_missed() {
        let paused = Due { paused_until: Some(at("2026-11-24T03:30:00Z")), ..due(2, Some(86_400)) };
        assert_eq!(hours(Firing::default().decide(paused)), ["04", "05"]);
    }

    #[test]
    fn a_crowd_of_missed_instants_comes_in_parts() {
        let mut firing = Firing::default();
        let seconds = Due { cron: "* * * * * *".to_owned(), ..due(2, Some(86_400)) };
        let first = firing.decide(seconds.clone()).unwrap();
        assert_eq!(
            (first.instants.len(), first.instants[0], first.next),
            (1_000, at("2026-11-24T01:00:00Z"), Some(at("2026-11-24T01:16:40Z")))
        );
    }
}
