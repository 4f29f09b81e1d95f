//! Names of this machine. A page from elsewhere can have its own name lead to this address, and would then read what we answer; but a
//! browser says in `Host` by which name it came.

use std::net::IpAddr;

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::Response,
};

/// Answers only who asks for `localhost` or a loopback address. For a dashboard without a log-in that listens on one.
pub fn only_local(dashboard: Router) -> Router {
    dashboard.layer(middleware::from_fn(check)).layer(middleware::map_response(crate::guard))
}

async fn check(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if named.or_else(|| request.uri().authority().map(Authority::as_str)).is_some_and(is_local) {
        return next.run(request).await;
    }
    let sentence = "this dashboard has no log-in, so it answers only to localhost, 127.0.0.1 and [::1]";
    super::refuse(&path, StatusCode::FORBIDDEN, sentence)
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LocalHost:8090", "127.0.0.1", "127.0.0.1:8090", "127.8.9.1", "[::1]", "[::1]:8090"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:8090", "localhost.evil.example", "10.1.2.3", "0.0.0.0", "[::2]", "127.0.0.1.evil.example"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
