//! A kind that is a program: started for each job, args on standard input, context in the environment, exit code as verdict.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use haulage_queue::MAX_OUTPUT_BYTES;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{
    capture::{Head, Tail},
    clock,
    config::{Environment, Problem},
    file,
    group::{Group, Groups, reap_orphans},
    limit, time_out, timed_out, timeout_error, verdict,
};
use crate::{JobError, Outcome, Run, execute::LAST_WORDS};

/// How much of the end of standard error becomes the error's text, in bytes. With the words around it under the 8 KiB of an error.
const STDERR_TAIL: usize = 7 << 10;

/// From SIGTERM to SIGKILL, unless the kind says otherwise.
const KILL_GRACE: Duration = Duration::from_secs(3);
/// The runtime drops a handler some time after it was told to stop; the program should have ended by then, in order.
const MAX_KILL_GRACE: Duration = Duration::from_secs(4);
const _: () = assert!(MAX_KILL_GRACE.as_secs() < LAST_WORDS.as_secs());

/// How long to wait for the rest of what a program has written when it has ended: something that left its group may hold the pipe.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A program, ready to be started.
#[derive(Debug)]
pub(super) struct Program {
    /// As the file names it.
    name: String,
    path: PathBuf,
    args: Vec<String>,
    cwd: PathBuf,
    /// All of the program's environment but what each job adds.
    env: BTreeMap<OsString, OsString>,
    timeout: Option<Duration>,
    /// Bytes.
    memory: Option<u64>,
    kill_grace: Duration,
    groups: Arc<Groups>,
}

/// How a program came to its end.
enum End {
    Itself,
    TimedOut,
    Memory { used: u64, limit: u64 },
    Stopped,
}

impl Program {
    pub(super) fn new(kind: file::Kind, folder: &Path, environment: Environment<'_>, groups: Arc<Groups>) -> Result<Self, Problem> {
        let problem = |field: &str, text: String| (field.to_owned(), text);
        let mut words = kind.command.unwrap_or_default().into_iter();
        let name = words.next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| problem("command", "it is empty: give the program and its arguments".into()))?;
        let args: Vec<String> = words.collect();
        if args.iter().chain([&name]).any(|word| word.contains('\0')) {
            return Err(problem("command", "it holds the character NUL, which no program can be given".into()));
        }
        let cwd = folder.join(kind.cwd.unwrap_or_default());
        if !cwd.is_dir() {
            return Err(problem("cwd", format!("\"{}\" is not a folder", cwd.display())));
        }
        let mut env = BTreeMap::new();
        for name in kind.pass_env.unwrap_or_else(|| vec!["PATH".to_owned()]) {
            check_variable(&name).map_err(|text| problem("pass_env", text))?;
            env.extend(environment(&name).map(|value| (name.into(), value)));
        }
        for (name, value) in kind.env.unwrap_or_default() {
            check_variable(&name).map_err(|text| problem("env", text))?;
            if value.contains('\0') {
                return Err(problem("env", format!("the value of \"{name}\" holds the character NUL, which no program can be given")));
            }
            env.insert(name.into(), value.into());
        }
        // A program that may not see our PATH is still found by it.
        let path = env.get(OsStr::new("PATH")).cloned().or_else(|| environment("PATH"));
        let path = find(&name, &cwd, path.as_deref()).map_err(|text| problem("command", text))?;
        let memory = kind.memory_mb.map(|megabytes| megabytes.saturating_mul(1 << 20));
        if memory == Some(0) {
            return Err(problem("memory_mb", "0 is too little: give megabytes, or leave it out for no limit".into()));
        }
        if memory.is_some() && !cfg!(target_os = "linux") {
            return Err(problem("memory_mb", "a limit needs Linux: remove it".into()));
        }
        let kill_grace = kind.kill_grace.map_or(KILL_GRACE, |length| length.0);
        if kill_grace > MAX_KILL_GRACE {
            return Err(problem("kill_grace", format!("{kill_grace:?} is out of range: use up to {MAX_KILL_GRACE:?}")));
        }
        Ok(Self { name, path, args, cwd, env, timeout: kind.timeout.map(|length| length.0), memory, kill_grace, groups })
    }

    /// Runs the program for one job.
    pub(super) async fn run(&self, run: Run) -> Result<Outcome, JobError> {
        let limit = limit(&run, self.timeout);
        self.groups.prepare();
        let mut child = self.command(&run, limit).spawn().map_err(|error| self.not_started(&error))?;
        // Made after the child, so that it is dropped before it: the group is killed before its program is waited for.
        let group = Group::of(&child, Arc::clone(&self.groups));
        let id = group.as_ref().map(Group::id);
        let (mut stdout, mut stderr) = (Head::new(MAX_OUTPUT_BYTES), Tail::new(STDERR_TAIL));
        let end = self.attend(&run, limit, &mut child, group, &mut stdout, &mut stderr).await;
        let status = child.wait().await.map_err(|error| JobError::from(error).with_class(verdict::CLASS))?;
        if let Some(id) = id {
            reap_orphans(id).await;
        }
        match end {
            End::Itself => verdict::of(status, &stdout, &stderr, &run.ctx),
            End::TimedOut => {
                let limit = limit.unwrap_or_default();
                let text = format!("timed out after {limit:?} and was ended: raise the timeout or make the program quicker");
                Err(timeout_error(verdict::with_stderr(text, &stderr)))
            }
            End::Memory { used, limit } => {
                let text = format!("took {} MiB of memory, over its limit of {} MiB, and was killed", used >> 20, limit >> 20);
                Err(JobError::from(verdict::with_stderr(text, &stderr)).with_class("memory"))
            }
            // Its exit code is no verdict any more: many programs exit with 0 when they are asked to end.
            End::Stopped => Err(JobError::from("told to stop").with_class(verdict::CLASS)),
        }
    }

    /// Feeds the program, listens to it, and ends it when its time has come. When it returns nothing of the group is left.
    async fn attend(
        &self,
        run: &Run,
        limit: Option<Duration>,
        child: &mut Child,
        group: Option<Group>,
        stdout: &mut Head,
        stderr: &mut Tail,
    ) -> End {
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let talk = async {
            tokio::join!(feed(input, &run.args), stdout.read(output), stderr.read(errors));
        };
        let end = async {
            // Its id is gone: it has been waited for already, which only we do.
            let Some(group) = group else { return End::Itself };
            let end = tokio::select! {
                biased;
                () = group.ended() => return End::Itself,
                () = time_out(limit) => End::TimedOut,
                () = run.ctx.cancelled() => if timed_out(run) { End::TimedOut } else { End::Stopped },
                (used, limit) = self.over_memory(&group) => return End::Memory { used, limit },
            };
            group.terminate(self.kill_grace).await;
            end
            // The group is dropped here, whatever came: what is left of it is killed.
        };
        tokio::pin!(talk, end);
        let mut heard = false;
        let end = loop {
            tokio::select! {
                () = &mut talk, if !heard => heard = true,
                end = &mut end => break end,
            }
        };
        if !heard {
            timeout(LAST_OUTPUT, talk).await.ok();
        }
        end
    }

    async fn over_memory(&self, group: &Group) -> (u64, u64) {
        match self.memory {
            Some(limit) => (group.over(limit).await, limit),
            None => std::future::pending().await,
        }
    }

    fn command(&self, run: &Run, limit: Option<Duration>) -> Command {
        let ctx = &run.ctx;
        let mut command = Command::new(&self.path);
        command.args(&self.args).current_dir(&self.cwd).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // For a handler that is dropped: the runtime then also waits for it, so that no zombie is left.
        command.kill_on_drop(true);
        command.env_clear().envs(&self.env);
        command
            .env("HAULAGE_JOB_ID", ctx.id().to_string())
            .env("HAULAGE_KIND", run.kind)
            .env("HAULAGE_QUEUE", ctx.queue())
            .env("HAULAGE_ATTEMPT", ctx.attempt().to_string())
            .env("HAULAGE_FAILURES", ctx.failures().to_string())
            .env("HAULAGE_MAX_ATTEMPTS", ctx.max_attempts().to_string())
            .env("HAULAGE_IDEMPOTENCY_KEY", ctx.idempotency_key());
        if let Some(trace) = ctx.trace() {
            command.env("TRACEPARENT", trace.traceparent());
        }
        if let Some(limit) = limit {
            let deadline = clock::unix(clock::now()).saturating_add(limit);
            command.env("HAULAGE_TIMEOUT", limit.as_secs_f64().to_string()).env("HAULAGE_DEADLINE", deadline.as_secs().to_string());
        }
        command
    }

    fn not_started(&self, error: &io::Error) -> JobError {
        let gone = if self.cwd.is_dir() { String::new() } else { format!(" (its folder \"{}\" is gone)", self.cwd.display()) };
        JobError::from(format!("the program \"{}\" could not be started{gone}: {error}", self.path.display())).with_class("start")
    }
}

/// A program need not read its input, so what goes wrong here is no failure.
async fn feed(input: Option<ChildStdin>, args: &str) {
    if let Some(mut input) = input {
        input.write_all(args.as_bytes()).await.ok();
    }
}

fn check_variable(name: &str) -> Result<(), String> {
    let shown = name.escape_debug();
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("\"{shown}\" can't be the name of an environment variable"));
    }
    if name.starts_with("HAULAGE_") {
        return Err(format!("\"{shown}\" can't be set: names that begin with HAULAGE_ are ours"));
    }
    Ok(())
}

/// The program's file, as the system would find it.
fn find(name: &str, cwd: &Path, path: Option<&OsStr>) -> Result<PathBuf, String> {
    let shown = name.escape_debug();
    if name.contains('/') {
        let file = cwd.join(name);
        return match fs::metadata(&file) {
            Err(error) => Err(format!("there is no program \"{}\": {error}", file.display())),
            Ok(_) if !is_program(&file) => Err(format!("\"{}\" is not a program: make the file executable", file.display())),
            Ok(_) => Ok(file),
        };
    }
    let Some(path) = path else { return Err(format!("there is no PATH to find the program \"{shown}\" by: give its whole path")) };
    env::split_paths(path)
        .map(|folder| cwd.join(folder).join(name))
        .find(|file| is_program(file))
        .ok_or_else(|| format!("there is no program \"{shown}\" in PATH, which is {path:?}: install it or give its whole path"))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for arg in &self.args {
            write!(f, " {}", arg.escape_debug())?;
        }
        write!(f, " ({}, in {})", self.path.display(), self.cwd.display())
    }
}
