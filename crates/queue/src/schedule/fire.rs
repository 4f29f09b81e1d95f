//! Firing what is due. Any worker may; the rows' locks keep two of them apart, and the key (schedule, instant) keeps an instant
//! from firing twice whatever happens to the rows.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};

use crate::{
    TraceContext,
    schedule::Cron,
    store::{self, Due, Fire, Fired},
    telemetry::{self, Tick},
};

/// Schedules a transaction: the statement that writes them compares each with each.
const BATCH: i32 = 200;
/// Instants of one schedule a transaction; the rest comes in the next.
const INSTANTS: usize = 1_000;
/// Later than this an instant counts as missed.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// What a worker remembers between rounds: the parsed expressions.
#[derive(Debug, Default)]
pub struct Firing {
    crons: HashMap<(String, String), Option<Cron>>,
}

/// Fires what is due, and tells in how many seconds the next is; `None`: there is none. A schedule whose expression this program
/// can't read, because a newer one wrote it, is left to others for a minute.
#[doc(hidden)]
pub async fn fire_schedules(connection: &mut PgConnection, firing: &mut Firing) -> Result<Option<f64>, sqlx::Error> {
    loop {
        let mut tx = connection.begin().await?;
        let due = store::lock_due_schedules(&mut tx, BATCH).await?;
        if due.is_empty() {
            let next = store::next_schedule(&mut tx).await?;
            tx.commit().await?;
            return Ok(next);
        }
        let more = due.len() >= BATCH.unsigned_abs() as usize;
        let about: HashMap<String, About> = due.iter().map(|due| (due.name.clone(), About::from(due))).collect();
        let fires: Vec<Fire> = due.into_iter().map(|due| firing.decide(due)).collect();
        let left = fires.iter().any(|fire| fire.instants.len() >= INSTANTS);
        let fired = store::fire_schedules(&mut tx, &fires).await?;
        // Each tick is a new trace; its span ends here.
        let ticks: Vec<_> = fired.iter().filter_map(|fired| Some((fired.job, about.get(&fired.schedule)?.tick(fired)?))).collect();
        if !ticks.is_empty() {
            store::trace_jobs(&mut tx, &ticks).await?;
        }
        tx.commit().await?;
        if !more && !left {
            return store::next_schedule(connection).await;
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
    /// Which instants fire, and which comes next.
    fn decide(&mut self, due: Due) -> Fire {
        if self.crons.len() > 200_000 {
            self.crons.clear();
        }
        let key = (due.cron.clone(), due.zone.clone());
        let cron = self.crons.entry(key).or_insert_with(|| Cron::new(&due.cron, &due.zone).ok());
        let Some(cron) = cron else {
            tracing::error!(schedule = due.name, cron = due.cron, zone = due.zone, "this program can't read the schedule's times");
            let next = Some(due.clock + TimeDelta::minutes(1));
            return Fire { name: due.name, was: due.next_at, next, instants: Vec::new() };
        };
        // Before next_at everything is decided, and what a pause that has ended by itself held up is not missed.
        let from = due.paused_until.map_or(due.next_at - TimeDelta::seconds(1), |end| end.max(due.next_at - TimeDelta::seconds(1)));
        let instants: Vec<_> = match (due.missed, due.missed_for_s) {
            (0, _) => cron.last_between(from.max(due.clock - LATE), due.clock).into_iter().collect(),
            (2, Some(seconds)) => {
                let from = from.max(due.clock - TimeDelta::seconds(seconds.into()));
                cron.after(from).take_while(|instant| *instant <= due.clock).take(INSTANTS).collect()
            }
            _ => cron.last_between(from, due.clock).into_iter().collect(),
        };
        let decided = if instants.len() >= INSTANTS { instants[INSTANTS - 1] } else { due.clock };
        Fire { next: cron.next_after(decided), name: due.name, was: due.next_at, instants }
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

    fn hours(fire: &Fire) -> Vec<String> {
        fire.instants.iter().map(|instant| instant.format("%H").to_string()).collect()
    }

    #[test]
    fn missed_instants_follow_the_policy() {
        let mut firing = Firing::default();
        assert_eq!(hours(&firing.decide(due(0, None))), [""; 0]);
        assert_eq!(hours(&firing.decide(Due { clock: at("2026-11-24T05:00:30Z"), ..due(0, None) })), ["05"]);
        assert_eq!(hours(&firing.decide(due(1, None))), ["05"]);
        assert_eq!(hours(&firing.decide(due(2, Some(86_400)))), ["01", "02", "03", "04", "05"]);
        assert_eq!(hours(&firing.decide(due(2, Some(2 * 3_600)))), ["04", "05"]);
        for policy in [due(0, None), due(1, None), due(2, Some(60))] {
            assert_eq!(firing.decide(policy).next, Some(at("2026-11-24T06:00:00Z")));
        }
    }

    #[test]
    fn what_a_pause_held_up_is_not_missed() {
        let paused = Due { paused_until: Some(at("2026-11-24T03:30:00Z")), ..due(2, Some(86_400)) };
        assert_eq!(hours(&Firing::default().decide(paused)), ["04", "05"]);
    }

    #[test]
    fn a_crowd_of_missed_instants_comes_in_parts() {
        let mut firing = Firing::default();
        let seconds = Due { cron: "* * * * * *".to_owned(), ..due(2, Some(86_400)) };
        let first = firing.decide(seconds.clone());
        assert_eq!(
            (first.instants.len(), first.instants[0], first.next),
            (1_000, at("2026-11-24T01:00:00Z"), Some(at("2026-11-24T01:16:40Z")))
        );
    }
}
