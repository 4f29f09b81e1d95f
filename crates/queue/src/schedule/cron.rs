//! When a schedule fires: a cron expression in a time zone.
//!
//! The crate `cron` parses and walks wall-clock times; the mapping from wall clock to instants is ours, because walking in a zone
//! with summer time skips a daily 02:30 in spring, fires it twice in autumn and goes back in time. The rule is that of Vixie cron:
//!
//! - An expression that names one second, one minute and one hour is a **time of day**: a time that the clocks skip fires at the
//!   end of the gap, a time that comes twice fires the first time.
//! - Any other is an **interval**: what the clocks skip does not fire, what comes twice fires twice.

use std::{fmt, str::FromStr};

use ::cron::TimeUnitSpec;
use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, SubsecRound, TimeZone, Utc};
use chrono_tz::Tz;

/// No zone sets its clock back by more; Troll station by two hours.
const LONGEST_FOLD: Duration = Duration::hours(3);
/// No zone skips more: Samoa skipped a day.
const LONGEST_GAP: i64 = 25 * 3_600;
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A cron expression in a time zone.
///
/// Five fields (minute, hour, day of month, month, day of week), six (a second before them), seven (a year after them), or one
/// of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Days of the week are `MON` to `SUN` or, as in crontab, 0 to 7 with
/// Sunday as 0 and 7.
///
/// ```
/// use haulage_queue::Cron;
///
/// let nightly = Cron::new("30 2 * * *", "Europe/Berlin")?;
/// // In the night of the 29th of March 2026 there is no 02:30: it fires at 03:00, which is 01:00 UTC.
/// let before = "2026-03-28T12:00:00Z".parse().unwrap();
/// assert_eq!(nightly.next_after(before), "2026-03-29T01:00:00Z".parse().ok());
/// # Ok::<_, haulage_queue::CronError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cron {
    expression: String,
    zone: Tz,
    wall_clock: ::cron::Schedule,
    time_of_day: bool,
}

/// Why a cron expression or a time zone can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// The expression is not one.
    #[error("the cron expression \"{}\" is not valid: {problem}", .expression.escape_debug())]
    Expression {
        /// The expression as given.
        expression: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The zone is unknown.
    #[error("the time zone \"{}\" is unknown: use a name such as \"Europe/Berlin\" or \"UTC\"", .zone.escape_debug())]
    Zone {
        /// The zone as given.
        zone: String,
    },
}

impl Cron {
    /// The expression in the time zone of this IANA name.
    ///
    /// # Errors
    /// [`CronError`] says what is wrong with which of the two.
    pub fn new(expression: &str, zone: &str) -> Result<Self, CronError> {
        let zone = Tz::from_str(zone).map_err(|_| CronError::Zone { zone: zone.chars().take(200).collect() })?;
        let refused = |problem: String| CronError::Expression { expression: expression.chars().take(200).collect(), problem };
        let wall_clock: ::cron::Schedule = seven_fields(expression)
            .map_err(refused)?
            .parse()
            .map_err(|_| refused("use `minute hour day-of-month month day-of-week`, such as \"30 2 * * MON-FRI\"".to_owned()))?;
        let one = |unit: &dyn Fn(&::cron::Schedule) -> u32| unit(&wall_clock) == 1;
        let time_of_day = one(&|s| s.seconds().count()) && one(&|s| s.minutes().count()) && one(&|s| s.hours().count());
        Ok(Self { expression: expression.trim().to_owned(), zone, wall_clock, time_of_day })
    }

    /// The first instant after this one at which it fires, to the second; `None` if there is none until the year 2100.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = self.local(after);
        let next = self.from(local).find_map(|wall| self.instants(wall).into_iter().flatten().find(|instant| *instant > after));
        // During the first of two passes over the same hour, the second pass begins with times that the wall clock has shown already.
        let second_pass = match self.zone.from_local_datetime(&local) {
            LocalResult::Ambiguous(first, _) if !self.time_of_day && first.to_utc() == after.trunc_subsecs(0) => self
                .from(local - LONGEST_FOLD)
                .take_while(|wall| *wall <= local)
                .filter_map(|wall| self.zone.from_local_datetime(&wall).latest().map(|instant| instant.to_utc()))
                .find(|instant| *instant > after),
            _ => None,
        };
        next.into_iter().chain(second_pass).min()
    }

    /// The last instant in `(after, until]` at which it fires.
    pub fn last_between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.around(after, until).0
    }

    /// The last instant in `(after, until]`, and the first one after `until`.
    pub(crate) fn around(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        // From a little before the end first, so that a schedule of seconds that nobody fired for a year costs no year of seconds.
        let spans = [Duration::hours(1), Duration::days(1), Duration::days(32), Duration::days(400)];
        let (mut last, mut next) = (None, None);
        for start in spans.into_iter().map(|span| (until - span).max(after)).chain([after]) {
            let mut instants = self.after(start);
            next = instants.by_ref().find(|instant| {
                let passed = *instant <= until;
                if passed {
                    last = Some(*instant);
                }
                !passed
            });
            if last.is_some() || start == after {
                break;
            }
        }
        (last, next)
    }

    /// The instants after this one, in order.
    pub fn after(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
    }

    /// The expression as given.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's name.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// An instant as the zone's clocks show it.
    pub fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.trunc_subsecs(0).with_timezone(&self.zone).naive_local()
    }

    /// Matching wall-clock times after this one. UTC has no gaps, so as UTC any wall clock can be walked.
    fn from(&self, local: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        self.wall_clock.after(&local.and_utc()).map(|wall| wall.naive_utc())
    }

    /// The instants at which it fires because the wall clock shows this, in order.
    fn instants(&self, wall: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(instant) => [Some(instant.to_utc()), None],
            LocalResult::Ambiguous(first, _) if self.time_of_day => [Some(first.to_utc()), None],
            LocalResult::Ambiguous(first, second) => [Some(first.to_utc()), Some(second.to_utc())],
            LocalResult::None if self.time_of_day => [self.end_of_gap(wall), None],
            LocalResult::None => [None, None],
        }
    }

    /// The instant at which the clocks have jumped over this wall-clock time.
    fn end_of_gap(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let exists = |seconds: i64| self.zone.from_local_datetime(&(wall + Duration::seconds(seconds))).earliest();
        // The first second that exists again: a search by halves between one that does not and one that does.
        let (mut missing, mut there) = (0, LONGEST_GAP);
        exists(there)?;
        while there - missing > 1 {
            let middle = missing.midpoint(there);
            if exists(middle).is_some() { there = middle } else { missing = middle }
        }
        exists(there).map(|instant| instant.to_utc())
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?}, {:?})", self.expression, self.zone.name())
    }
}

/// The expression in the form of the crate `cron`, with days of the week by name: it counts them from Sunday as 1.
fn seven_fields(expression: &str) -> Result<String, String> {
    let expression = match expression.trim() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * SUN",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [second, minute, hour, day, month, weekday, year] = match *fields.as_slice() {
        [minute, hour, day, month, weekday] => ["0", minute, hour, day, month, weekday, "*"],
        [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday, "*"],
        [second, minute, hour, day, month, weekday, year] => [second, minute, hour, day, month, weekday, year],
        _ => return Err(format!("it has {} fields; use five, as in crontab, or six with the second before them", fields.len())),
    };
    let any = |field: &str| field == "*" || field == "?";
    if !any(day) && !any(weekday) {
        // Vixie cron takes either, others both.
        return Err("it names days of the month and days of the week, which crons read in different ways; make two schedules".to_owned());
    }
    Ok([second, minute, hour, day, month, &weekdays(weekday)?, year].join(" "))
}

/// Days of the week as crontab has them, by name.
fn weekdays(field: &str) -> Result<String, String> {
    let number = |text: &str| -> Result<usize, String> {
        let upper = text.to_ascii_uppercase();
        let named = DAYS.iter().position(|day| upper.starts_with(day));
        let number = named.or_else(|| text.parse().ok()).filter(|day| *day <= 7);
        number.ok_or_else(|| format!("\"{}\" is no day of the week; use MON to SUN, or 0 to 7 with Sunday as 0 and 7", text.escape_debug()))
    };
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize =
            step.parse().ok().filter(|step| (1..=7).contains(step)).ok_or("the step of the days of the week is not 1 to 7")?;
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (0, 6),
            Some((first, last)) => (number(first)?, number(last)?),
            None if part.contains('/') => (number(range)?, 6),
            None => (number(range)?, number(range)?),
        };
        // FRI-MON goes over the end of the week.
        let last = if last < first { last + 7 } else { last };
        for day in (first..=last).step_by(step) {
            days[day % 7] = true;
        }
    }
    let names: Vec<&str> = DAYS.into_iter().zip(days).filter_map(|(name, on)| on.then_some(name)).collect();
    Ok(if names.len() == 7 { "*".to_owned() } else { names.join(",") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn fires(expression: &str, zone: &str, after: &str, many: usize) -> Vec<String> {
        let cron = Cron::new(expression, zone).unwrap();
        cron.after(at(after)).take(many).map(|instant| instant.format("%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn a_time_that_the_clocks_skip_fires_at_the_end_of_the_gap() {
        assert_eq!(fires("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3), ["28T01:30", "29T01:00", "30T00:30"]);
        // Half an hour in Lord Howe, a whole day in Samoa.
        assert_eq!(fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T14:00:00Z", 2), ["03T15:30", "04T15:15"]);
        assert_eq!(fires("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2), ["30T10:00", "30T22:00"]);
    }

    #[test]
    fn a_time_that_comes_twice_fires_once() {
        assert_eq!(fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["25T00:30", "26T01:30"]);
        // Asked during the second pass.
        assert_eq!(fires("45 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["26T01:45"]);
    }

    #[test]
    fn an_interval_goes_on_through_both_changes() {
        assert_eq!(fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:20:00Z", 4), ["29T00:30", "29T01:00", "29T01:30", "29T02:00"]);
        assert_eq!(
            fires("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:40:00Z", 6),
            ["25T00:00", "25T00:30", "25T01:00", "25T01:30", "25T02:00", "25T02:30"]
        );
    }

    #[test]
    fn days_of_the_week_are_those_of_crontab() {
        assert_eq!(weekdays("1-5").unwrap(), "MON,TUE,WED,THU,FRI");
        assert_eq!(weekdays("5-7").unwrap(), "SUN,FRI,SAT");
        assert_eq!(weekdays("fri-mon").unwrap(), "SUN,MON,FRI,SAT");
        assert_eq!(weekdays("0,7").unwrap(), "SUN");
        assert_eq!(weekdays("*/2").unwrap(), "SUN,TUE,THU,SAT");
        assert_eq!(weekdays("0-7").unwrap(), "*");
        assert!(weekdays("8").is_err() && weekdays("").is_err() && weekdays("MON/0").is_err());
    }

    #[test]
    fn a_bad_expression_is_refused_with_what_to_do() {
        for (expression, part) in [
            ("* * *", "has 3 fields"),
            ("61 * * * *", "minute hour"),
            ("0 0 1 * MON", "two schedules"),
            ("0 0 * * FUNDAY", "no day of the week"),
            ("", "has 0 fields"),
            ("@often", "has 1 fields"),
        ] {
            let error = Cron::new(expression, "UTC").unwrap_err().to_string();
            assert!(error.contains(part), "{expression}: {error}");
        }
        assert!(Cron::new("@daily", "Mars/Olympus").unwrap_err().to_string().contains("\"Mars/Olympus\""));
        assert_eq!(Cron::new("0 0 0 1 1 * 2020", "UTC").unwrap().next_after(at("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn the_last_one_missed_is_found_without_walking_all() {
        let cron = Cron::new("* * * * * *", "UTC").unwrap();
        assert_eq!(cron.last_between(at("1990-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:00Z")));
        let yearly = Cron::new("@yearly", "UTC").unwrap();
        assert_eq!(yearly.last_between(at("2020-06-01T00:00:00Z"), at("2026-06-01T00:00:00Z")), Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(yearly.last_between(at("2026-02-01T00:00:00Z"), at("2026-06-01T00:00:00Z")), None);
    }
}
