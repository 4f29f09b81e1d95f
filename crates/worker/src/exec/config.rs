//! From a config file to a worker. Everything that can be known before a job is claimed is checked here: names, limits, programs,
//! folders, secrets.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{self, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use haulage_queue::check_name;
use sqlx::PgPool;

use super::{
    file::{self, File},
    group::Groups,
    http::Endpoint,
    subprocess::Program,
};
use crate::{BuildError, Builder, RunError, Worker, execute::Traits};

/// A worker as its config file describes it, checked.
#[must_use = "a config does nothing until it is run"]
pub struct Config {
    name: Option<String>,
    shutdown_grace: Option<Duration>,
    queues: Vec<(String, usize)>,
    kinds: Vec<Kind>,
}

struct Kind {
    name: String,
    traits: Traits,
    handler: Handler,
}

enum Handler {
    Program(Program),
    Endpoint(Box<Endpoint>),
}

/// Where the values of environment variables come from: in a program `&|name| std::env::var_os(name)`.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Why a config file is not taken. The text is one line that names the file, the line or the field, and the value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the config file \"{}\"", .path.display())]
    Read {
        /// The file as given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not TOML, or a field is unknown, missing or of the wrong type.
    #[error("{}:{line}: {message}", .path.display())]
    Syntax {
        /// The file as given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value that can't be used.
    #[error("{}: {field}: {problem}", .path.display())]
    Value {
        /// The file as given.
        path: PathBuf,
        /// The field's path, such as `kinds.send_email.command`.
        field: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

/// Why a worker made from a config file stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It could not start, or broke.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A problem on its way to the error that names the file: the field's path below what is being checked, and the text.
pub(super) type Problem = (String, String);

impl Config {
    /// Reads and checks a config file. Programs must exist, folders too, and the variables with secrets must be set.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong and where.
    pub fn read(path: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let file: File = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()),
            message: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
        })?;
        let path_of_file = path::absolute(path).map_err(unreadable)?;
        let folder = path_of_file.parent().unwrap_or(Path::new("/"));
        Self::check(file, folder, environment).map_err(|(field, problem)| ConfigError::Value { path: path.to_owned(), field, problem })
    }

    fn check(file: File, folder: &Path, environment: Environment<'_>) -> Result<Self, Problem> {
        let problem = |field: &str, text: String| Err((field.to_owned(), text));
        if file.queues.is_empty() {
            return problem("queues", "no queue is named: add for example `default = 50`".into());
        }
        if file.kinds.is_empty() {
            return problem("kinds", "no kind is named: add a table such as [kinds.send_email]".into());
        }
        for (queue, slots) in &file.queues {
            let field = format!("queues.{}", queue.escape_debug());
            check_name("queue", queue).map_err(|error| (field.clone(), error.to_string()))?;
            if !(1..=100_000).contains(slots) {
                return Err((field, format!("{slots} at once is out of range: use 1 to 100000")));
            }
        }
        let shutdown_grace = file.shutdown_grace.map(|length| length.0);
        if shutdown_grace.is_some_and(|grace| grace > Duration::from_secs(86_400)) {
            return problem("shutdown_grace", "it is longer than \"1day\"".into());
        }
        let groups = Arc::new(Groups::default());
        let mut kinds = Vec::new();
        for (kind, table) in file.kinds {
            let at = format!("kinds.{}", kind.escape_debug());
            check_name("kind", &kind).map_err(|error| (at.clone(), error.to_string()))?;
            let revision = table.revision.unwrap_or(0);
            let revision =
                i16::try_from(revision).map_err(|_| (format!("{at}.revision"), format!("{revision} is out of range: use 0 to 32767")))?;
            let traits = Traits { revision, keep_completed: table.keep_completed.unwrap_or(true) };
            let handler = handler(table, folder, environment, &groups)
                .map_err(|(field, text)| (if field.is_empty() { at } else { format!("{at}.{field}") }, text))?;
            kinds.push(Kind { name: kind, traits, handler });
        }
        Ok(Self { name: file.name, shutdown_grace, queues: file.queues.into_iter().collect(), kinds })
    }

    /// What the config says, for people.
    pub fn summary(&self) -> String {
        let queues: Vec<String> = self.queues.iter().map(|(queue, slots)| format!("{queue} ({slots} at once)")).collect();
        let mut text = format!("queues: {}\n", queues.join(", "));
        for Kind { name: kind, handler, .. } in &self.kinds {
            text.push_str(&match handler {
                Handler::Program(program) => format!("{kind}: runs {program}\n"),
                Handler::Endpoint(endpoint) => format!("{kind}: calls {endpoint}\n"),
            });
        }
        text
    }

    /// Starts the description of a worker with these queues and kinds, for a program that adds handlers in Rust or changes
    /// settings that the file does not have.
    pub fn builder(self, pool: PgPool) -> Builder {
        let mut builder = Worker::builder(pool);
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        if let Some(grace) = self.shutdown_grace {
            builder = builder.shutdown_grace(grace);
        }
        for (queue, slots) in self.queues {
            builder = builder.queue(queue, slots);
        }
        for Kind { name, traits, handler } in self.kinds {
            let handler = Arc::new(handler);
            builder = builder.handle_named(name, traits, move |run| {
                let handler = Arc::clone(&handler);
                async move {
                    match &*handler {
                        Handler::Program(program) => program.run(run).await,
                        Handler::Endpoint(endpoint) => endpoint.run(run).await,
                    }
                }
            });
        }
        builder
    }

    /// Runs the worker until the process is told to stop: SIGTERM or Ctrl-C. This is all that `haulage work` and
    /// `haulage-worker` do.
    ///
    /// # Errors
    /// [`WorkError`] when it could not start, or a part of it panicked.
    pub async fn run(self, pool: PgPool) -> Result<(), WorkError> {
        Ok(self.builder(pool).build()?.run().await?)
    }
}

fn handler(table: file::Kind, folder: &Path, environment: Environment<'_>, groups: &Arc<Groups>) -> Result<Handler, Problem> {
    let problem = |field: &str, text: String| Err((field.to_owned(), text));
    match (&table.command, &table.url) {
        (Some(_), Some(_)) => problem("", "it has both `command` and `url`: keep one".into()),
        (None, None) => problem("", "it has neither `command` nor `url`: add one".into()),
        (Some(_), None) => match table.of_endpoints() {
            Some(field) => problem(field, "this belongs to kinds with `url`: remove it".into()),
            None => Program::new(table, folder, environment, Arc::clone(groups)).map(Handler::Program),
        },
        (None, Some(_)) => match table.of_programs() {
            Some(field) => problem(field, "this belongs to kinds with `command`: remove it".into()),
            None => Endpoint::new(table, environment).map(Box::new).map(Handler::Endpoint),
        },
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| &kind.name).collect();
        f.debug_struct("Config").field("queues", &self.queues).field("kinds", &kinds).finish_non_exhaustive()
    }
}
