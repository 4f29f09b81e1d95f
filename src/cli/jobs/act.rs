//! What the verbs share: to some jobs by id, one by one; or to all that match a filter, as an operation.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use haulage::{Acted, JobFilter, JobId, JobState, ManageError, Operator, Preview, Verb, preview};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    super::{
        NotFound,
        connect::DatabaseUrl,
        operations::drive,
        operator::By,
        output::{print, print_json, remark},
    },
    filter::Filter,
    list::job_table,
};

/// So many jobs a filter may mean without a question.
const HANDFUL: u64 = 5;

/// Which jobs, by whom, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Act {
    /// The jobs; or say which by the options below
    #[arg(value_name = "ID", required_unless_present = "Filter", conflicts_with = "Filter")]
    ids: Vec<JobId>,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    by: By,

    /// Say which jobs are meant, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Do it to more than 5 jobs without asking
    #[arg(long)]
    yes: bool,

    /// Print JSON: for ids an array with an object each, for a filter the operation
    #[arg(long)]
    json: bool,
}

impl Act {
    pub(crate) async fn run(self, database: &DatabaseUrl, verb: Verb) -> anyhow::Result<()> {
        let operator = self.by.clone().operator()?;
        let pool = database.connect().await?;
        if self.ids.is_empty() {
            let filter = self.filter.clone().jobs();
            return self.all(&pool, &operator, verb, filter).await;
        }
        self.some(&pool, &operator, &verb).await
    }

    async fn all(self, pool: &PgPool, operator: &Operator, verb: Verb, filter: JobFilter) -> anyhow::Result<()> {
        let seen = preview(pool, verb.clone(), &filter).await?;
        if self.dry_run {
            return if self.json { print_json(&seen) } else { print(&describe(&verb, &seen)) };
        }
        if seen.jobs > HANDFUL && !self.yes {
            confirm(&verb, &seen)?;
        }
        let operation = operator.start(pool, verb, &filter).await?;
        drive(pool, operation.id, self.json).await
    }

    async fn some(self, pool: &PgPool, operator: &Operator, verb: &Verb) -> anyhow::Result<()> {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for id in &self.ids {
            // A dry run does it and takes it back: it meets what the real one would meet.
            let mut tx = pool.begin().await?;
            match operator.act(&mut *tx, *id, verb.clone()).await {
                Ok(acted) => {
                    if !self.dry_run {
                        tx.commit().await?;
                    }
                    results.push(result(verb, &acted));
                    if !self.json {
                        print(&format!("{}{}\n", if self.dry_run { "would have: " } else { "" }, sentence(verb, &acted)))?;
                    }
                }
                Err(error @ (ManageError::NotFound { .. } | ManageError::Refused { .. } | ManageError::Locked { .. })) => {
                    results.push(json!({ "id": id, "verb": verb.as_str(), "error": error.to_string() }));
                    errors.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.json {
            print_json(&results)?;
        }
        failed(errors, self.ids.len())
    }
}

/// Ends with the one error there is, or with a line for each and their number.
pub(crate) fn failed(mut errors: Vec<ManageError>, of: usize) -> anyhow::Result<()> {
    let not_found = errors.len() == of && errors.iter().all(|error| matches!(error, ManageError::NotFound { .. }));
    let text = match errors.as_slice() {
        [] => return Ok(()),
        [_] if of == 1 => return Err(if not_found { NotFound(errors.remove(0).to_string()).into() } else { errors.remove(0).into() }),
        several => {
            several.iter().for_each(|error| remark(&format!("haulage: {error}")));
            format!("{} of {of} jobs were left as they are", several.len())
        }
    };
    if not_found {
        return Err(NotFound(text).into());
    }
    bail!(text)
}

fn confirm(verb: &Verb, seen: &Preview) -> anyhow::Result<()> {
    let number = number(seen);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        bail!("{} would mean {number} jobs ({}): pass --yes to do it, or --dry-run to see some of them", verb.as_str(), by_state(seen));
    }
    remark(&format!("{}Type yes to {} {number} jobs:", describe(verb, seen), verb.as_str()));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("could not read the answer")?;
    if answer.trim() != "yes" {
        bail!("nothing was done: the answer was not yes");
    }
    Ok(())
}

fn describe(verb: &Verb, seen: &Preview) -> String {
    if seen.jobs == 0 {
        return format!("no jobs to {}\n", verb.as_str());
    }
    let mut text = format!("{} means {} jobs: {}\n", verb.as_str(), number(seen), by_state(seen));
    if seen.by_state.contains_key(JobState::Running.as_str()) && !verb.states().contains(&JobState::Running) {
        text.push_str("those that are running will be skipped\n");
    }
    text.push_str(&job_table(&seen.samples));
    text
}

fn number(seen: &Preview) -> String {
    format!("{}{}", seen.jobs, if seen.more { " or more" } else { "" })
}

fn by_state(seen: &Preview) -> String {
    seen.by_state.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

fn result(verb: &Verb, acted: &Acted) -> Value {
    json!({ "id": acted.id, "verb": verb.as_str(), "was": acted.was, "now": acted.now })
}

fn sentence(verb: &Verb, acted: &Acted) -> String {
    let (id, was) = (acted.id, acted.was);
    match acted.now {
        None => format!("job {id} was {was} and is deleted"),
        Some(JobState::Running) if *verb == Verb::Cancel => format!("job {id} is running; its worker is told to stop it"),
        Some(JobState::Parked) if *verb == Verb::Retry => format!("job {id} was {was} and runs alone, as its process died while it ran"),
        Some(now) => format!(
            "job {id} was {was} and is {}",
            match verb {
                Verb::Move { queue } => format!("{now} in the queue {queue}"),
                Verb::Reprioritise { priority } => format!("{now} with the priority {priority}"),
                Verb::Hold => "held".to_owned(),
                _ => now.to_string(),
            }
        ),
    }
}
