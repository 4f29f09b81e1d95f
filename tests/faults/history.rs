//! What each process says it did, written before or after it did it: one file a process, only appended, a line an event, so that a
//! killed process leaves whole lines.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::clock::uptime;

/// A line of a history. `k` is the name that its enqueuer gave a job; it is in the job's args.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// About to enqueue.
    Enqueue { k: String, kind: String },
    /// What became of it.
    Enqueued { k: String, how: Enqueued },
    /// A handler was called.
    Start { k: String, job: i64, attempt: i32 },
    /// It is about to return.
    End { k: String, job: i64, attempt: i32, how: End },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Enqueued {
    /// The transaction committed.
    Committed,
    /// Another job holds the unique key.
    Duplicate,
    /// It was rolled back, refused, or nobody ever sent a COMMIT.
    RolledBack,
    /// The answer to the COMMIT was lost.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// Its effects were committed with the completion, as it was told.
    Committed,
    /// It wrote nothing, and said that it is done.
    Done,
    /// It was refused because its lease is lost.
    Fenced,
    /// Anything else: an error, a snooze, a stop.
    Other,
}

/// An event and when it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: f64,
    #[serde(flatten)]
    pub(crate) event: Event,
}

#[derive(Debug)]
pub(crate) struct History(Mutex<File>);

impl History {
    pub(crate) fn open(folder: &Path, process: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(format!("{process}.history")))?;
        Ok(Self(Mutex::new(file)))
    }

    /// One write, so that the line is whole or not there.
    pub(crate) fn add(&self, event: Event) {
        let mut line = serde_json::to_vec(&Line { at: uptime(), event }).unwrap();
        line.push(b'\n');
        self.0.lock().unwrap().write_all(&line).unwrap();
    }
}

/// Every history in the folder, by process.
pub(crate) fn read(folder: &Path) -> io::Result<Vec<(String, Vec<Line>)>> {
    let mut histories = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "history") {
            let process = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            // A process that was killed in the middle of a line did what the line says it was about to do, or not: nobody can tell.
            histories.push((process, text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()));
        }
    }
    histories.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    Ok(histories)
}
