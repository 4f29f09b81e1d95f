//! Log lines of the programs.

use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Writes log lines to standard error, unless the process has a subscriber already. `levels` is what `RUST_LOG` holds, such as
/// `warn` or `info,haulage_worker=debug`; without it, or if it is not understood, `info`.
pub fn log_to_stderr(levels: Option<&str>) {
    let info = || Targets::new().with_default(tracing::Level::INFO);
    let understood = levels.map(str::parse::<Targets>);
    let filter = match &understood {
        Some(Ok(targets)) => targets.clone(),
        _ => info(),
    };
    // Colors are for a person who looks; a file or a log collector gets none.
    let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colors).with_filter(filter);
    let ours = tracing_subscriber::registry().with(lines).try_init().is_ok();
    if let (true, Some(Err(error))) = (ours, understood) {
        tracing::warn!(%error, "RUST_LOG is not understood; logging at the level info");
    }
}
