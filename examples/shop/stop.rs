//! When a process of the shop should stop.
//!
//! Three ways: Ctrl-C, SIGTERM, and, with `--with-parent`, the end of standard input. The last is
//! how `shop demo` ends its children: the pipe closes when the demo lets go of it, and also when
//! the demo is killed with -9, so no child outlives it.

use std::{convert::Infallible, io::Read};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Completes when the process should stop.
///
/// Signals are caught from this call on, not from the first poll of the future.
pub(crate) fn requested(with_parent: bool) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let parent = with_parent.then(parent_gone);
    Ok(async move {
        let parent = async move {
            match parent {
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent => {}
        }
    })
}

/// A plain thread, because tokio waits for a blocked read of standard input before it exits.
fn parent_gone() -> oneshot::Receiver<Infallible> {
    let (gone, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        drop(gone);
    });
    receiver
}
