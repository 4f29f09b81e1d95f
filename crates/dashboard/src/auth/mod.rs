//! Who may see the dashboard. An application that mounts it has a log-in of its own and puts that in front; whoever runs it alone takes
//! one of these.

mod host;
mod network;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::{actions::Role, api, assets, error::Problem};

pub use host::only_local;
pub use network::{Network, ParseNetworkError};

/// A wrong password is answered this much later: a guesser who asks one after the other gets few tries a second, and who mistyped does
/// not notice. One who asks many at once must be stopped by what stands in front, or by secrets that can't be guessed.
const REFUSED_AFTER: Duration = Duration::from_millis(400);

/// Who is logged in, and what they may do. An application that has a log-in of its own puts one among the extensions of a request:
/// without one everything is shown and nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As pages and the audit show it: 1 to 128 characters.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// How people and programs say who they are.
#[derive(Debug, Clone)]
pub struct Auth(Arc<Mode>);

#[derive(Debug)]
enum Mode {
    Basic(Secrets),
    Bearer(Secrets),
    Proxy { trusted: Vec<Network>, user: HeaderName, groups: Option<Groups> },
}

/// In which header a proxy names the groups of who comes, and which roles they give.
#[derive(Debug, Clone)]
struct Groups {
    header: HeaderName,
    roles: Vec<(String, Role)>,
}

/// Why a way to log in can't be set up. No text holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A line is not `name:secret`.
    #[error("line {line} of the credentials is not name:secret, with a name and a secret of at least 8 characters")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Two lines have the same name.
    #[error("line {line} of the credentials has a name that an earlier one has")]
    Twice {
        /// Counted from 1.
        line: usize,
    },
    /// A name has a word behind it that is no role.
    #[error("line {line} of the credentials has no role behind the name: write name:secret, or name operator:secret, or name admin:secret")]
    Role {
        /// Counted from 1.
        line: usize,
    },
    /// Groups without a proxy that names them.
    #[error("only a proxy names groups; write roles into the credentials instead: name operator:secret")]
    Groups,
    /// There is nobody who could log in.
    #[error("there are no credentials: write a line name:secret for each")]
    Empty,
    /// No proxy is trusted, so nobody could be let in.
    #[error("no proxy is trusted: name the networks that it speaks from")]
    NoProxy,
    /// The header's name is none.
    #[error("\"{}\" is not the name of a header", .name.escape_debug())]
    Header {
        /// As given.
        name: String,
    },
}

impl Auth {
    /// HTTP Basic: a browser asks for name and password. One `name:password` a line, for a viewer; `name operator:password` and
    /// `name admin:password` for the other [roles](Role). Empty lines and those that begin with # say nothing. Only over TLS, or to this machine: a browser sends the password with each request.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn basic(lines: &str) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Mode::Basic(Secrets::read(lines)?))))
    }

    /// `Authorization: Bearer TOKEN`, for programs and for proxies that add it. One `name:token` a line, with a role or without, as for
    /// [`Auth::basic`].
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn bearer(lines: &str) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Mode::Bearer(Secrets::read(lines)?))))
    }

    /// A proxy has logged people in and says who they are in a header, such as `X-Forwarded-User` of oauth2-proxy. Believed only from
    /// these networks; the server must know who speaks to it ([`axum::extract::ConnectInfo`] of a [`SocketAddr`]).
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn proxy(trusted: Vec<Network>, header: &str) -> Result<Self, AuthError> {
        if trusted.is_empty() {
            return Err(AuthError::NoProxy);
        }
        let user = header.parse().map_err(|_| AuthError::Header { name: header.chars().take(100).collect() })?;
        Ok(Self(Arc::new(Mode::Proxy { trusted, user, groups: None })))
    }

    /// Which groups, named by the proxy in this header with commas between, have which [`Role`]; the highest counts. Whoever is in none
    /// of them is a viewer.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn with_groups(self, header: &str, roles: impl IntoIterator<Item = (String, Role)>) -> Result<Self, AuthError> {
        let Mode::Proxy { trusted, user, .. } = &*self.0 else { return Err(AuthError::Groups) };
        let header = header.parse().map_err(|_| AuthError::Header { name: header.chars().take(100).collect() })?;
        let groups = Groups { header, roles: roles.into_iter().collect() };
        Ok(Self(Arc::new(Mode::Proxy { trusted: trusted.clone(), user: user.clone(), groups: Some(groups) })))
    }

    /// Lets nobody else in. Only the health check stays open, for load balancers, and the style sheet and the script.
    pub fn protect(self, dashboard: Router) -> Router {
        dashboard.layer(middleware::from_fn_with_state(self, check)).layer(middleware::map_response(crate::guard))
    }

    /// Who this is; the challenge if it is nobody.
    fn identify(&self, request: &Request) -> Result<Identity, Refusal> {
        let credentials = |scheme: &str| {
            let (given, rest) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
            given.eq_ignore_ascii_case(scheme).then(|| rest.trim().to_owned())
        };
        match &*self.0 {
            Mode::Basic(users) => {
                let missing = Refusal::Unknown { challenge: "Basic realm=\"Haulage\", charset=\"UTF-8\"", wrong: false };
                let Some(given) = credentials("basic") else { return Err(missing) };
                let pair = STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let known = pair.as_deref().and_then(|pair| pair.split_once(':')).and_then(|(name, secret)| users.check(name, secret));
                known.ok_or(Refusal::Unknown { challenge: "Basic realm=\"Haulage\", charset=\"UTF-8\"", wrong: true })
            }
            Mode::Bearer(tokens) => {
                let Some(given) = credentials("bearer") else {
                    return Err(Refusal::Unknown { challenge: "Bearer realm=\"Haulage\"", wrong: false });
                };
                tokens.find(&given).ok_or(Refusal::Unknown { challenge: "Bearer realm=\"Haulage\", error=\"invalid_token\"", wrong: true })
            }
            Mode::Proxy { trusted, user, groups } => {
                let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
                if !peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(peer))) {
                    return Err(Refusal::NotTheProxy);
                }
                let name = only(request, user).map_err(|_| Refusal::Nobody)?.ok_or(Refusal::Nobody)?;
                let role = match groups {
                    Some(groups) => groups.role(only(request, &groups.header).map_err(|_| Refusal::Nobody)?.unwrap_or_default()),
                    None => Role::Viewer,
                };
                Ok(Identity { name: name.chars().take(128).collect(), role })
            }
        }
    }
}

/// How whoever asks was let in, for the page of settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LetIn(pub(crate) &'static str);
impl Groups {
    fn role(&self, named: &str) -> Role {
        let named: Vec<&str> = named.split(',').map(str::trim).collect();
        self.roles.iter().filter(|(group, _)| named.contains(&group.as_str())).map(|(_, role)| *role).max().unwrap_or_default()
    }
}

/// What a header says, if it says anything. Two of them are an error: one may be what the client sent and the proxy did not take away.
fn only<'r>(request: &'r Request, name: &HeaderName) -> Result<Option<&'r str>, ()> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next().and_then(|value| str::from_utf8(value.as_bytes()).ok()).map(str::trim).filter(|value| !value.is_empty());
    if values.next().is_some() { Err(()) } else { Ok(value) }
}

enum Refusal {
    Unknown { challenge: &'static str, wrong: bool },
    NotTheProxy,
    Nobody,
}

async fn check(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/health" || path.strip_prefix("/assets/").is_some_and(assets::is_one) {
        return next.run(request).await;
    }
    match auth.identify(&request) {
        Ok(identity) => {
            let way = match &*auth.0 {
                Mode::Basic(_) => "name and password",
                Mode::Bearer(_) => "token",
                Mode::Proxy { .. } => "trusted proxy",
            };
            request.extensions_mut().insert(identity);
            request.extensions_mut().insert(LetIn(way));
            next.run(request).await
        }
        Err(Refusal::Unknown { challenge, wrong }) => {
            if wrong {
                tokio::time::sleep(REFUSED_AFTER).await;
            }
            let sentence = if wrong { "these credentials are not known" } else { "log in to see the dashboard" };
            ([(header::WWW_AUTHENTICATE, challenge)], refuse(&path, StatusCode::UNAUTHORIZED, sentence)).into_response()
        }
        Err(Refusal::NotTheProxy) => refuse(&path, StatusCode::FORBIDDEN, "come through the proxy: this address is not trusted"),
        Err(Refusal::Nobody) => refuse(&path, StatusCode::UNAUTHORIZED, "the proxy does not say who you are"),
    }
}

/// In a line for a person, or for a program as the API says it.
fn refuse(path: &str, status: StatusCode, sentence: &str) -> Response {
    if api::is_ours(path) {
        Problem::new(status, "Not for everybody", sentence.to_owned()).api()
    } else {
        (status, format!("{sentence}\n")).into_response()
    }
}

/// Secrets and roles by name; of secrets only hashes are kept. Comparing hashes tells nothing of a secret by the time it takes.
struct Secrets(BTreeMap<String, ([u8; 32], Role)>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    fn read(text: &str) -> Result<Self, AuthError> {
        let mut secrets = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once(':').filter(|(name, secret)| (1..=128).contains(&name.len()) && secret.len() >= 8);
            let Some((name, secret)) = pair else { return Err(AuthError::Line { line: number + 1 }) };
            let (name, role) = match name.split_once(char::is_whitespace) {
                Some((name, word)) => (name, word.trim().parse().map_err(|_| AuthError::Role { line: number + 1 })?),
                None => (name, Role::Viewer),
            };
            if secrets.insert(name.to_owned(), (hash(secret), role)).is_some() {
                return Err(AuthError::Twice { line: number + 1 });
            }
        }
        if secrets.is_empty() { Err(AuthError::Empty) } else { Ok(Self(secrets)) }
    }

    fn check(&self, name: &str, secret: &str) -> Option<Identity> {
        let given = hash(secret);
        self.0.get(name).filter(|(known, _)| *known == given).map(|(_, role)| Identity { name: name.to_owned(), role: *role })
    }

    fn find(&self, secret: &str) -> Option<Identity> {
        let given = hash(secret);
        self.0.iter().find(|(_, (known, _))| *known == given).map(|(name, (_, role))| Identity { name: name.clone(), role: *role })
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_line_by_line_and_no_error_holds_one() {
        let secrets = Secrets::read("# who\n\n ana:correct horse:1 \nben operator:battery-staple\nzoe  admin:unguessable\n").unwrap();
        assert_eq!(secrets.check("ana", "correct horse:1"), Some(Identity { name: "ana".into(), role: Role::Viewer }));
        assert_eq!(secrets.check("ana", "battery-staple"), None);
        assert_eq!(secrets.check("eve", "battery-staple"), None);
        assert_eq!(secrets.find("battery-staple"), Some(Identity { name: "ben".into(), role: Role::Operator }));
        assert_eq!(secrets.check("zoe", "unguessable"), Some(Identity { name: "zoe".into(), role: Role::Admin }));
        assert!(!format!("{secrets:?}").contains("horse"));
        for (text, part) in [
            ("ana:short", "line 1"),
            ("\nana", "line 2"),
            (":long enough", "line 1"),
            ("a:12345678\na:12345678", "line 2"),
            ("ana root:12345678", "no role"),
            ("#", "no credentials"),
        ] {
            let error = Secrets::read(text).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("short") && !error.contains("1234"), "{error}");
        }
    }
}
