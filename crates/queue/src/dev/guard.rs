//! The shell between us and a program of Postgres, which ends it when we are gone.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::error::{DevError, io};
use super::folder::Folder;

/// Arguments: the folder to remove if we end first (or empty), the input file, the command.
///
/// - Descriptor 3 is the pipe. A command in the background gets no standard input of its own.
/// - `read` returns when the last write end is closed. Nothing is ever written.
/// - The watch does not depend on the shell: if someone kills the shell, it still ends the server.
/// - The signals are ignored because a service manager sends them to the whole group at once, and
///   the server must be ended after the application. Postgres sets its own handlers.
/// - The mark tells the shell that it was us who went, and not the server that failed.
const SCRIPT: &str = r#"
remove=$1 input=$2
shift 2
exec 3<&0
trap '' HUP INT TERM
"$@" <"$input" 3<&- &
program=$!
(
    read -r _ <&3
    [ -z "$remove" ] || : >"$remove/orphaned"
    kill -INT "$program"
) &
watch=$!
wait "$program"
status=$?
kill -KILL "$watch"
[ -z "$remove" ] || [ ! -e "$remove/orphaned" ] || rm -rf "$remove"
exit "$status"
"#;

#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Runs a program with its output in the folder's log.
    pub(super) fn spawn(folder: &Folder, program: &Path, args: &[String], input: Option<&Path>) -> Result<Self, DevError> {
        let log = folder.open_log()?;
        let errors = log.try_clone().map_err(io("open the log again"))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "haulage-dev"])
            .arg(folder.to_remove())
            .arg(input.unwrap_or(Path::new("/dev/null")))
            .arg(program)
            .args(args)
            // We read the log, so it must be in the language that we know.
            .env("LC_ALL", "C")
            // The folder that we are in may be closed to the account below.
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors);
        if let Some(account) = folder.account() {
            command.uid(account.uid).gid(account.gid);
        }
        let shell = command.spawn().map_err(io(format!("run {program:?} under \"/bin/sh\"")))?;
        Ok(Self { shell })
    }

    /// How the program ended, if it has.
    pub(super) fn try_status(&mut self) -> Result<Option<ExitStatus>, DevError> {
        self.shell.try_wait().map_err(io("wait for the server"))
    }

    /// Waits for a program that ends by itself. Must not close the pipe, as [`Child::wait`] does.
    pub(super) fn wait(mut self) -> Result<ExitStatus, DevError> {
        let pipe = self.shell.stdin.take();
        let status = self.shell.wait().map_err(io("wait for the program"));
        drop(pipe);
        status
    }

    /// Closes the pipe and waits until the program has ended.
    pub(super) fn end(mut self) -> Result<ExitStatus, DevError> {
        self.close()
    }

    fn close(&mut self) -> Result<ExitStatus, DevError> {
        drop(self.shell.stdin.take());
        self.shell.wait().map_err(io("wait for the server"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // After `end` or `wait` this returns the status at once.
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the server may still be running");
        }
    }
}
