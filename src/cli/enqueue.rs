//! `haulage enqueue`.

use std::{
    io::{self, Read},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use haulage::{Enqueued, MAX_ARGS_BYTES, NamedJob, OnConflict, Priority, enqueue_named};
use serde_json::{Value, json, value::RawValue};

use super::{
    connect::DatabaseUrl,
    length::{self, Limit},
    output::{print, print_json},
};

/// Stores a job and prints its id
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage enqueue send_email '{\"to\": \"a@example.org\"}' --queue mail
  haulage enqueue report --delay 5m --timeout 1h --tag monthly
  haulage enqueue sync '{\"shop\": 7}' --unique-key 7 --unique-for 1h
  jq -c .order event.json | haulage enqueue bill_order - --json")]
pub(crate) struct Enqueue {
    /// What the handlers know it by: 1 to 128 of the characters A-Z a-z 0-9 _ . : / -
    kind: String,

    /// The arguments as JSON; - reads them from standard input
    #[arg(value_name = "ARGS", default_value = "{}", hide_default_value = true, allow_negative_numbers = true)]
    args: String,

    /// The queue; it exists on first use
    #[arg(long, default_value = "default")]
    queue: String,

    /// Which jobs of the queue go first: urgent, normal, low or bulk
    #[arg(long, default_value = "normal")]
    priority: Priority,

    /// Not before this long from now
    #[arg(long, value_name = "TIME", value_parser = length::parse, conflicts_with = "run_at")]
    delay: Option<Duration>,

    /// Not before this time, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    run_at: Option<DateTime<Utc>>,

    /// How many attempts may fail
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32_767), default_value = "25")]
    max_attempts: u16,

    /// How long an attempt may run, or none for no limit
    #[arg(long, value_name = "TIME", value_parser = length::parse_limit, default_value = "15m")]
    timeout: Limit,

    /// A tag to find the job by; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Any JSON that belongs to the job but is not an argument
    #[arg(long, value_name = "JSON", value_parser = meta)]
    meta: Option<Value>,

    /// Store the job only if no unfinished job of this kind has this key
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,

    /// Hold the key at least this long, even if the job finishes sooner
    #[arg(long, value_name = "TIME", value_parser = length::parse, requires = "unique_key")]
    unique_for: Option<Duration>,

    /// What to do if the key is held
    #[arg(long, value_name = "WHAT", requires = "unique_key", default_value = "keep")]
    on_conflict: Conflict,

    /// The key whose limits the job shares, such as tenant:42
    #[arg(long, value_name = "KEY")]
    limit_key: Option<String>,

    /// The revision of the kind that the args are of; workers whose code knows only earlier ones leave the job alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=32_767), default_value = "0")]
    revision: u16,

    /// Print {"id": .., "duplicate": ..}
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Conflict {
    /// Leave the job that holds it as it is
    Keep,
    /// Give that job the new arguments, unless it has started
    ReplaceArgs,
    /// Give that job the new time, unless it has started
    Reschedule,
}

impl Enqueue {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let job = self.job()?;
        let stored = enqueue_named(&database.connect().await?, &job).await?;
        if self.json {
            return print_json(&json!({ "id": stored.id(), "duplicate": !stored.is_new() }));
        }
        print(&match stored {
            Enqueued::New(id) => format!("enqueued job {id}\n"),
            Enqueued::Duplicate(id) => format!("no new job: job {id} holds the unique key\n"),
        })
    }

    fn job(&self) -> anyhow::Result<NamedJob> {
        let mut job = NamedJob::new(&self.kind, self.json_args()?)
            .queue(&self.queue)
            .priority(self.priority)
            .max_attempts(self.max_attempts)
            .timeout(self.timeout.0)
            .revision(self.revision)
            .on_conflict(match self.on_conflict {
                Conflict::Keep => OnConflict::Keep,
                Conflict::ReplaceArgs => OnConflict::ReplaceArgs,
                Conflict::Reschedule => OnConflict::Reschedule,
            });
        for tag in &self.tag {
            job = job.tag(tag);
        }
        if let Some(delay) = self.delay {
            job = job.delay(delay);
        }
        if let Some(time) = self.run_at {
            job = job.run_at(time);
        }
        if let Some(meta) = &self.meta {
            job = job.meta(meta.clone());
        }
        if let Some(key) = &self.unique_key {
            job = job.unique_key(key);
        }
        if let Some(key) = &self.limit_key {
            job = job.limit_key(key);
        }
        if let Some(window) = self.unique_for {
            job = job.unique_for(window);
        }
        Ok(job)
    }

    /// As text: a number goes to Postgres with every digit it has.
    fn json_args(&self) -> anyhow::Result<Box<RawValue>> {
        let mut read = String::new();
        let text = if self.args == "-" {
            // One byte over the limit is enough to be refused.
            let limit = MAX_ARGS_BYTES as u64 + 1;
            io::stdin().lock().take(limit).read_to_string(&mut read).context("could not read the args from standard input")?;
            &read
        } else {
            &self.args
        };
        anyhow::ensure!(
            text.len() <= MAX_ARGS_BYTES,
            "the args are over the limit of {MAX_ARGS_BYTES} bytes: store the data in a table and pass its key"
        );
        serde_json::from_str(text.trim()).with_context(|| {
            let start: String = text.chars().take(40).collect();
            format!(
                "the args \"{}\" are not JSON, such as '{{\"to\": \"a@example.org\"}}' (in single quotes for the shell)",
                start.escape_debug()
            )
        })
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "give a date, a time and an offset, such as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00".to_owned())
}

fn meta(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("give JSON, such as '{{\"ticket\": 7}}': {error}"))
}
