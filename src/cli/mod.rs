//! The command line: a file per subcommand.

mod audit;
mod bench;
mod dashboard;
mod dev;
mod doctor;
mod enqueue;
mod jobs;
mod keys;
mod migrate;
mod operations;
mod queues;
mod schedules;
mod trace;
mod why;
mod work;
mod workers;

mod connect;
mod length;
mod limit;
mod operator;
mod output;
mod pause;
mod replica;
mod stop;
mod table;
mod unhandled;

use std::{fmt, process::ExitCode};

use clap::{Parser, Subcommand};

use self::connect::DatabaseUrl;

/// Background jobs on the Postgres you already run.
#[derive(Debug, Parser)]
#[command(name = "haulage", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    database: DatabaseUrl,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  haulage dev                          a private Postgres for development
  haulage migrate                      makes the schema or brings it up to date
  haulage enqueue send_email '{\"to\": \"a@example.org\"}'
  haulage jobs list --state dead
  haulage jobs retry --queue mail --error 'no paper' --dry-run
  haulage queues pause mail --reason 'the mail server is down' --for 30m
  haulage trace 42                     what happened, from the request to the last child job
  haulage audit --queue mail
  haulage workers
  haulage why 42                       why this job does not run
  haulage doctor                       what is wrong in the whole fleet, and what mends it
  haulage work --config worker.toml    runs jobs as programs or HTTP calls

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Migrate(migrate::Migrate),
    Enqueue(enqueue::Enqueue),
    Jobs(Box<jobs::Jobs>),
    Trace(trace::Trace),
    Queues(queues::Queues),
    Keys(keys::Keys),
    Schedules(schedules::Schedules),
    Operations(operations::Operations),
    Workers(workers::Workers),
    Why(why::Why),
    Doctor(doctor::Doctor),
    Audit(audit::Audit),
    Work(work::Work),
    Dashboard(dashboard::Dashboard),
    Bench(bench::Bench),
    #[command(hide = true)]
    BenchWorker(bench::BenchWorker),
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Dev(command) => return command.run(&self.database).await,
            Command::Migrate(command) => command.run(&self.database).await?,
            Command::Enqueue(command) => command.run(&self.database).await?,
            Command::Jobs(command) => command.run(&self.database).await?,
            Command::Trace(command) => command.run(&self.database).await?,
            Command::Queues(command) => command.run(&self.database).await?,
            Command::Keys(command) => command.run(&self.database).await?,
            Command::Schedules(command) => command.run(&self.database).await?,
            Command::Operations(command) => command.run(&self.database).await?,
            Command::Workers(command) => command.run(&self.database).await?,
            Command::Why(command) => command.run(&self.database).await?,
            Command::Doctor(command) => return command.run(&self.database).await,
            Command::Audit(command) => command.run(&self.database).await?,
            Command::Work(command) => command.run(&self.database).await?,
            Command::Dashboard(command) => command.run(&self.database).await?,
            Command::Bench(command) => command.run().await?,
            Command::BenchWorker(command) => command.run().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was asked for is not there; it has an exit code of its own.
#[derive(Debug)]
pub(crate) struct NotFound(String);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotFound {}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command that a user can call, with the words that call it.
    fn commands() -> Vec<(String, clap::Command)> {
        let mut root = Cli::command();
        root.build();
        let mut found = Vec::new();
        let mut open = vec![("haulage".to_owned(), root)];
        while let Some((words, command)) = open.pop() {
            let children = command.get_subcommands().filter(|child| child.get_name() != "help" && !child.is_hide_set());
            open.extend(children.map(|child| (format!("{words} {}", child.get_name()), child.clone())));
            found.push((words, command));
        }
        found
    }

    /// The arguments of an example as a shell would pass them: up to a pipe, or the remark behind a few spaces.
    fn arguments(line: &str) -> Vec<String> {
        let call = &line[line.find("haulage ").unwrap()..];
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in call.chars().chain([' ']) {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, '|') => break,
                // Two spaces: a remark follows.
                (None, ' ') if word.is_empty() => break,
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (_, c) => word.push(c),
            }
        }
        words
    }

    #[test]
    fn every_command_ends_its_help_with_examples_that_it_understands() {
        for (words, command) in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty()).collect();
            assert!(!examples.is_empty(), "{words} has no examples");
            assert!(examples.iter().any(|line| line.contains(&words)), "{words} has no example of itself:\n{help}");
            for line in examples {
                let arguments = arguments(line);
                if let Err(error) = Cli::try_parse_from(&arguments) {
                    panic!("the help of {words}: {line}: {error}\n{arguments:?}");
                }
            }
        }
    }
}
