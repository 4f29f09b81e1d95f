//! What people type to find jobs, as a filter.
//!
//! `key:value` pairs, all of which must hold. A value with spaces stands in double quotes. A number alone is a job's id; another word
//! alone is a kind.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use haulage_queue::{JobFilter, JobId, JobState, check_name};

/// Longer searches say nothing more.
const MOST_CHARS: usize = 2_048;
const MOST_TERMS: usize = 32;

/// What can be asked for, with an example each; the page shows it.
pub(crate) const KEYS: [(&str, &str, &str); 12] = [
    ("42", "42", "the job with this id"),
    ("kind", "kind:send_receipt", "jobs of this kind; the name alone is enough"),
    ("queue", "queue:mail", "jobs of this queue"),
    ("state", "state:dead", "scheduled, available, running, parked, completed, dead, cancelled"),
    ("tag", "tag:eu", "jobs with this tag"),
    ("error", "error:\"no route\"", "a part of the last error; upper and lower case are the same"),
    ("class", "class:timeout", "the class of the last error"),
    ("parent", "parent:42", "jobs that the handler of this one enqueued"),
    ("root", "root:42", "all that came of this one"),
    ("age", "age:>1h", "enqueued more than an hour ago; age:<10m: less than ten minutes"),
    ("created", "created:2026-11-23", "enqueued on this day (UTC); or a time, or from..to"),
    ("finished", "finished:2h..", "finished within two hours; or a day, or from..to"),
];

/// What somebody is looking for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Search {
    /// One job.
    Job(JobId),
    /// All that match.
    Filter(Box<JobFilter>),
}

/// Why it can't be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// In characters.
    pub(crate) at: usize,
    pub(crate) sentence: String,
}

/// Reads what was typed, by the database's clock.
pub(crate) fn parse(text: &str, clock: &DateTime<Utc>) -> Result<Search, Unreadable> {
    if text.chars().count() > MOST_CHARS {
        return Err(Unreadable { at: MOST_CHARS, sentence: format!("a search has at most {MOST_CHARS} characters") });
    }
    let terms = terms(text)?;
    if let [term] = terms.as_slice()
        && term.key.is_none_or(|key| key == "id")
        && let Ok(id) = term.value.trim_start_matches('#').parse()
    {
        return Ok(Search::Job(id));
    }
    if let Some(term) = terms.get(MOST_TERMS) {
        return Err(term.bad(format!("a search has at most {MOST_TERMS} terms")));
    }
    let mut filter = JobFilter::new();
    let mut seen = Vec::new();
    for term in &terms {
        let key = term.key.unwrap_or("kind");
        if seen.contains(&key) {
            return Err(term.bad(format!("\"{key}\" is given twice: one value of each key")));
        }
        seen.push(key);
        filter = add(filter, key, term, clock)?;
    }
    Ok(Search::Filter(Box::new(filter)))
}

fn add(filter: JobFilter, key: &str, term: &Term<'_>, clock: &DateTime<Utc>) -> Result<JobFilter, Unreadable> {
    let value = term.value.as_str();
    let id = || value.parse::<JobId>().map_err(|error| term.bad(error.to_string()));
    let name = |what| check_name(what, value).map_err(|error| term.bad(error.to_string()));
    Ok(match key {
        "kind" => {
            name("kind")?;
            filter.kind(value)
        }
        "queue" => {
            name("queue")?;
            filter.queue(value)
        }
        "state" => filter.state(value.parse::<JobState>().map_err(|error| term.bad(error.to_string()))?),
        "tag" => filter.tag(value),
        "error" => filter.error(value),
        "class" => filter.error_class(value),
        "parent" => filter.parent(id()?),
        "root" => filter.root(id()?),
        "age" => match (value.split_at_checked(1), value.get(1..).and_then(length)) {
            (Some((">", _)), Some(length)) => filter.created_before(*clock - length),
            (Some(("<", _)), Some(length)) => filter.created_from(*clock - length),
            _ => return Err(term.bad("an age is more or less than a time: age:>1h, age:<10m")),
        },
        "created" | "finished" => {
            let (from, before) = range(value, clock).ok_or_else(|| {
                term.bad("give a day (2026-11-23), a time (2026-11-23T18:00, or 2h for two hours ago), or from..to; times are UTC")
            })?;
            match key {
                "created" => before.into_iter().fold(from.into_iter().fold(filter, JobFilter::created_from), JobFilter::created_before),
                _ => before.into_iter().fold(from.into_iter().fold(filter, JobFilter::finished_from), JobFilter::finished_before),
            }
        }
        "id" => return Err(term.bad("an id is a whole number and stands alone")),
        _ => {
            let keys = KEYS.iter().skip(1).map(|(key, ..)| *key).collect::<Vec<_>>().join(", ");
            return Err(term.bad(format!("\"{}\" is no key: use one of {keys}", key.escape_debug())));
        }
    })
}

type Bound = Option<DateTime<Utc>>;

/// A day, an hour ago and later, or from..to with either end left out.
fn range(text: &str, clock: &DateTime<Utc>) -> Option<(Bound, Bound)> {
    // Neither Postgres nor a page has other years.
    let is_usual = |time: &DateTime<Utc>| (1..=9_999).contains(&time.year());
    let time = |text: &str, clock: &DateTime<Utc>| time(text, clock).filter(is_usual);
    if let Some((from, to)) = text.split_once("..") {
        let end = |text: &str| if text.is_empty() { Some(None) } else { time(text, clock).map(Some) };
        let (from, to) = (end(from)?, end(to)?);
        return (from.is_some() || to.is_some()).then_some((from, to));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        let start = Some(day.and_hms_opt(0, 0, 0)?.and_utc()).filter(is_usual)?;
        return Some((Some(start), start.checked_add_signed(TimeDelta::days(1))));
    }
    Some((Some(time(text, clock)?), None))
}

fn time(text: &str, clock: &DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc());
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    if let Some(time) = local {
        return Some(time.and_utc());
    }
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok().or_else(|| Some(*clock - length(text)?))
}

/// `90s`, `5m`, `2h`, `3d`.
pub(crate) fn length(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|count| (0..=1_000_000).contains(count))?;
    match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' if count <= 36_525 => TimeDelta::try_days(count),
        _ => None,
    }
}

struct Term<'a> {
    at: usize,
    key: Option<&'a str>,
    value: String,
}

impl Term<'_> {
    fn bad(&self, sentence: impl Into<String>) -> Unreadable {
        Unreadable { at: self.at, sentence: sentence.into() }
    }
}

/// Splits at spaces that stand outside of quotes.
fn terms(text: &str) -> Result<Vec<Term<'_>>, Unreadable> {
    let mut terms = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(terms);
        }
        let at = text[..text.len() - rest.len()].chars().count();
        let key_end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let (key, value) = match rest[key_end..].strip_prefix(':') {
            Some(value) if key_end > 0 => (Some(&rest[..key_end]), value),
            _ => (None, rest),
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').ok_or_else(|| Unreadable { at, sentence: "a quote is open: close it with \"".to_owned() })?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        let term = Term { at, key, value: value.to_owned() };
        if term.value.is_empty() {
            return Err(term.bad("a value is missing: write key:value, with quotes around a value with spaces"));
        }
        if term.value.contains('\0') {
            return Err(term.bad("the character NUL can't be searched for"));
        }
        terms.push(term);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn filter(text: &str) -> JobFilter {
        match parse(text, &clock()) {
            Ok(Search::Filter(filter)) => *filter,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_key_narrows_the_search() {
        assert_eq!(filter(""), JobFilter::new());
        assert_eq!(filter("  send_receipt queue:mail "), JobFilter::new().kind("send_receipt").queue("mail"));
        assert_eq!(filter("kind:a:b/c state:dead"), JobFilter::new().kind("a:b/c").state(JobState::Dead));
        assert_eq!(
            filter("error:\"no route: x\" class:timeout tag:eu"),
            JobFilter::new().error("no route: x").error_class("timeout").tag("eu")
        );
        assert_eq!(filter("parent:4 root:2"), JobFilter::new().parent(JobId(4)).root(JobId(2)));
        assert_eq!(filter("age:>1h"), JobFilter::new().created_before(at("2026-11-23T11:00:00Z")));
        assert_eq!(filter("age:<10m"), JobFilter::new().created_from(at("2026-11-23T11:50:00Z")));
        let day = JobFilter::new().created_from(at("2026-11-22T00:00:00Z")).created_before(at("2026-11-23T00:00:00Z"));
        assert_eq!(filter("created:2026-11-22"), day);
        assert_eq!(filter("created:2026-11-22..2026-11-23"), day);
        assert_eq!(filter("finished:2h.."), JobFilter::new().finished_from(at("2026-11-23T10:00:00Z")));
        assert_eq!(filter("finished:..2026-11-22T18:30"), JobFilter::new().finished_before(at("2026-11-22T18:30:00Z")));
        assert_eq!(filter("created:2026-11-22T18:30:00+02:00"), JobFilter::new().created_from(at("2026-11-22T16:30:00Z")));
    }

    #[test]
    fn a_number_alone_is_a_job() {
        for text in ["42", " #42 ", "id:42"] {
            assert_eq!(parse(text, &clock()), Ok(Search::Job(JobId(42))), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        for (text, at, part) in [
            ("queue:mail colour:red", 11, "colour"),
            ("queue:a queue:b", 8, "twice"),
            ("state:done", 0, "completed"),
            ("ä error:\"x", 2, "close it"),
            ("queue:", 0, "missing"),
            ("error:\"\"", 0, "missing"),
            ("age:1h", 0, "age:>1h"),
            ("age:>", 0, "age:>1h"),
            ("created:yesterday", 0, "from..to"),
            ("created:..", 0, "from..to"),
            ("created:+12026-01-01", 0, "from..to"),
            ("created:-0001-01-01", 0, "from..to"),
            ("created:..+12026-01-01T00:00", 0, "from..to"),
            ("parent:x", 0, "whole number"),
            ("<script>", 0, "1 to 128"),
            ("id:x", 0, "whole number"),
        ] {
            let error = parse(text, &clock()).unwrap_err();
            assert!(error.at == at && error.sentence.contains(part), "{text}: {error:?}");
        }
        assert!(parse(&"a".repeat(3_000), &clock()).unwrap_err().sentence.contains("2048"));
        let many: String = (0..40).map(|n| format!("x{n} ")).collect();
        assert!(parse(&many, &clock()).unwrap_err().sentence.contains("32"));
    }
}
