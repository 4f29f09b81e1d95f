//! From a host's name to addresses that may be connected to. The client connects to what this returns and asks nobody else, so a
//! name that answers differently the next time gains nothing.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::address::not_public;
use crate::BoxError;

/// Asks the system, or in a test whom it likes.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's answer.
pub(super) fn system() -> Lookup {
    Arc::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) }))
}

/// What the client resolves names by. It refuses those with any address that is not public, unless private ones are allowed.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) allow_private: bool,
    pub(super) lookup: Lookup,
}

/// Why a host is not called.
#[derive(Debug, thiserror::Error)]
#[error("the host resolves to {address}, which is {what}: set `allow_private = true` for the kind if that is meant")]
struct NotPublic {
    address: IpAddr,
    what: &'static str,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (lookup, allow_private) = (Arc::clone(&self.lookup), self.allow_private);
        Box::pin(async move {
            let found = lookup(name.as_str().to_owned()).await?;
            // One that is not public condemns all: nobody has a good reason to mix them.
            let refused = found.iter().find_map(|found| not_public(found.ip()).map(|what| NotPublic { address: found.ip(), what }));
            match refused.filter(|_| !allow_private) {
                Some(refused) => Err(refused.into()),
                None => Ok(found.into_iter()),
            }
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("allow_private", &self.allow_private).finish_non_exhaustive()
    }
}
