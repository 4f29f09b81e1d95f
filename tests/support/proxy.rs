//! A connection to the database that loses an answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

/// A pool of the same database whose connections go through a relay. Once the returned switch is set, the next `COMMIT` reaches the
/// server, and its answer is lost with its connection.
pub(crate) async fn losing_a_commit(pool: &PgPool) -> (PgPool, Arc<AtomicBool>) {
    let server = pool.connect_options();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = (*server).clone().host("127.0.0.1").port(listener.local_addr().unwrap().port()).ssl_mode(PgSslMode::Disable);
    let armed = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&armed);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, Arc::clone(&server), Arc::clone(&armed)));
        }
    });
    (PgPoolOptions::new().max_connections(4).connect_with(without_socket(options)).await.unwrap(), switch)
}

/// A host that is given wins over a socket only when none is set.
fn without_socket(options: PgConnectOptions) -> PgConnectOptions {
    assert!(options.get_socket().is_none(), "the relay speaks TCP to its clients");
    options
}

async fn relay(client: TcpStream, server: Arc<PgConnectOptions>, armed: Arc<AtomicBool>) {
    let host = server.get_host();
    if host.starts_with('/') {
        let socket = format!("{host}/.s.PGSQL.{}", server.get_port());
        pump(client, UnixStream::connect(socket).await.unwrap(), &armed).await;
    } else {
        pump(client, TcpStream::connect((host, server.get_port())).await.unwrap(), &armed).await;
    }
}

async fn pump(mut client: TcpStream, mut server: impl AsyncRead + AsyncWrite + Unpin, armed: &AtomicBool) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let read = read.unwrap_or(0);
                if read == 0 || server.write_all(&asked[..read]).await.is_err() {
                    return;
                }
                let commits = asked[..read].windows(7).any(|text| text == b"COMMIT\0");
                if commits && armed.swap(false, Ordering::AcqRel) {
                    // Committed, as the server says; nobody else hears of it.
                    server.read_u8().await.unwrap();
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let read = read.unwrap_or(0);
                if read == 0 || client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
