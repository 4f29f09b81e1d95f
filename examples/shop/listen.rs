//! A listening socket on the loopback address, or an error that says what to do.

use anyhow::Context;
use tokio::net::TcpListener;

pub(crate) async fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("could not listen on port {port}; is it taken? choose another with {flag}"))
}
