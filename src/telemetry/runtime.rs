//! A thread with a runtime of its own, for the exporters' sockets and the endpoint of metrics.
//!
//! The SDK exports from plain threads, on which neither tonic nor hyper finds a runtime, and flushes when the program's own runtime may
//! have ended. So the futures are polled where the SDK wants and find this one.

use std::{fmt, io, thread};

use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::context::TokioContext;

pub(super) struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Runtime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("haulage-telemetry".into()).spawn(move || {
            runtime.block_on(stopped).ok();
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// Polled anywhere, the future finds the runtime.
pub(super) fn on<F: Future>(handle: &Handle, future: F) -> TokioContext<F> {
    TokioContext::new(future, handle.clone())
}
