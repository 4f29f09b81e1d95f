//! `haulage trace`.

mod bar;
mod draw;
mod paint;
mod tell;

use std::{
    io::{IsTerminal, stdout},
    str::FromStr,
};

use haulage::{
    TraceUrl,
    story::{self, StoryKey},
};

use self::{draw::draw, paint::Paint};
use super::{
    NotFound,
    connect::DatabaseUrl,
    output::{print, print_json, safe},
};

/// Tells the story of a job, a trace or a request: what waited for what, what ran, what came of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage trace 42
  haulage trace 0af7651916cd43dd8448eb211c80319c --trace-url jaeger+http://127.0.0.1:16686
  haulage trace req-7f3a --json | jq '.spans[].children[].waited_ms'

Copy the id from a log line, a response's x-request-id or a traceparent. Colors are used on a terminal, unless NO_COLOR is set.
The exit code is 3 when nothing is known of it.")]
pub(crate) struct Trace {
    /// A job's id, a trace's id (or a whole traceparent), or a request's id
    #[arg(value_name = "ID")]
    id: StoryKey,

    /// Where your tracing backend shows a trace: jaeger+URL, tempo+URL of Grafana, or a template with {trace_id}
    ///
    /// Variables: {trace_id}, {span_id}, {job_id}, {request_id}, and {from_ms}, {to_ms} or the same in _s and _us for the time.
    #[arg(long, value_name = "TEMPLATE", env = "HAULAGE_TRACE_URL")]
    trace_url: Option<Links>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Where traces are shown; an empty text says nowhere, as a variable does that is not set.
#[derive(Debug, Clone)]
struct Links(Option<TraceUrl>);

impl FromStr for Links {
    type Err = <TraceUrl as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|url| Self(Some(url))) }
    }
}

/// Where neither the terminal nor COLUMNS says how wide it is.
const WIDTH: usize = 100;
/// A drawing needs some room, and none is the better for being wider than this.
const NARROWEST: usize = 60;
const WIDEST: usize = 160;

impl Trace {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        let Some(mut story) = story::tell(&pool, &self.id).await? else {
            let id = safe(&self.id.to_string());
            let text = format!(
                "nothing is known of \"{id}\": no job has this id or comes from such a trace or request, or its history is gone; of unfinished jobs and today's only some millions are looked at"
            );
            return Err(NotFound(text).into());
        };
        if let Some(Links(Some(url))) = &self.trace_url {
            story = story.with_links(url);
        }
        if self.json {
            return print_json(&story);
        }
        print(&draw(&story, width(), Paint::of_terminal()))
    }
}

/// How wide a drawing is, and whether anything may be wider: only where nothing says how wide it is.
fn width() -> (usize, bool) {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || stdout().is_terminal().then(|| rustix::termios::tcgetwinsize(stdout()).ok()).flatten().map(|size| size.ws_col.into());
    let known = said.or_else(seen).filter(|width| *width > 0);
    (known.unwrap_or(WIDTH).clamp(NARROWEST, WIDEST), known.is_some() || stdout().is_terminal())
}
