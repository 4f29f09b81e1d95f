//! A kind that is an HTTP endpoint: a signed POST for each job, the status as verdict.
//!
//! | answer | the job |
//! |---|---|
//! | 2xx | completed; a JSON body is its output |
//! | 429 or 503 with `Retry-After` | failed; runs again after that time, at most a day. So long its queue and key wait, if they have a rate |
//! | 3xx | failed: redirects are not followed |
//! | any other, none, or too late | failed; runs again after the backoff |
//!
//! The URL may hold secrets in its path and query, so only scheme, host and port are ever told.

use std::{
    fmt,
    net::IpAddr,
    os::unix::ffi::OsStrExt,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use haulage_queue::MAX_OUTPUT_BYTES;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use url::Url;

use super::{
    address::not_public,
    clock,
    config::{Environment, Problem},
    file, limit,
    resolve::{Lookup, Resolver, system},
    signature::Secret,
    timed_out, timeout_error,
};
use crate::{BoxError, JobError, Outcome, Run};

/// Follows no redirects and knows no proxies: it goes where the resolver says and nowhere else.
type HttpClient = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// The class of errors that come from a call.
const CLASS: &str = "http";
/// A call without an answer, unless the kind says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Long enough for a host far away; a packet lost is sent again after a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a bad answer becomes the error's text.
const EXCERPT: usize = 2 << 10;
/// As the default backoff: a mistaken date must not put a job off for years.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// An endpoint, ready to be called.
pub(super) struct Endpoint {
    url: Url,
    uri: Uri,
    /// Scheme, host and port.
    place: String,
    secret: Option<Secret>,
    timeout: Duration,
    client: HttpClient,
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Body<'a> {
    id: i64,
    kind: &'a str,
    queue: &'a str,
    attempt: i32,
    failures: i16,
    max_attempts: i16,
    idempotency_key: &'a str,
    args: &'a RawValue,
}

/// No answer, and why.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {place}")]
struct NoAnswer {
    place: String,
    #[source]
    source: BoxError,
}

impl Endpoint {
    pub(super) fn new(kind: file::Kind, environment: Environment<'_>) -> Result<Self, Problem> {
        Self::with_lookup(kind, environment, system())
    }

    fn with_lookup(kind: file::Kind, environment: Environment<'_>, lookup: Lookup) -> Result<Self, Problem> {
        let problem = |field: &str, text: &str| (field.to_owned(), text.to_owned());
        let allow_private = kind.allow_private.unwrap_or(false);
        // The text itself is not shown: it may hold a password.
        let url: Url = kind
            .url
            .unwrap_or_default()
            .parse()
            .map_err(|error| problem("url", &format!("it is not valid ({error}): give one such as \"https://example.org/hook\"")))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(problem("url", &format!("the scheme \"{}\" is not served: use https or http", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem(
                "url",
                "it has a user or password, which are not sent: remove them, and let the endpoint check the signature of `secret_env`",
            ));
        }
        // An address is not resolved, so it is looked at here; the URL's parser has read the odd ways to write one.
        let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if let Some(address) = literal.filter(|_| !allow_private)
            && let Some(what) = not_public(address)
        {
            return Err(problem("url", &format!("{address} is {what}: set `allow_private = true` if that is meant")));
        }
        let secret = kind.secret_env.map(|name| {
            let refused = |what: &str| problem("secret_env", &format!("the environment variable \"{}\" {what}", name.escape_debug()));
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(refused("can't exist: give its name"));
            }
            let value = environment(&name).ok_or_else(|| refused("is not set: it should hold the secret that the endpoint knows too"))?;
            Secret::new(value.as_bytes()).ok_or_else(|| refused("is empty: it should hold the secret that the endpoint knows too"))
        });
        let uri = url.as_str().parse().map_err(|error| problem("url", &format!("it can't be called: {error}")))?;
        Ok(Self {
            place: url.origin().ascii_serialization(),
            url,
            uri,
            secret: secret.transpose()?,
            timeout: kind.timeout.map_or(TIMEOUT, |length| length.0),
            client: client(Resolver { allow_private, lookup }),
        })
    }

    /// Makes the call for one job.
    pub(super) async fn run(&self, run: Run) -> Result<Outcome, JobError> {
        let limit = limit(&run, Some(self.timeout)).unwrap_or(self.timeout);
        let late = || Err(timeout_error(format!("{} did not answer within {limit:?}", self.place)));
        tokio::select! {
            biased;
            answer = timeout(limit, self.call(&run)) => answer.unwrap_or_else(|_| late()),
            () = run.ctx.cancelled() => if timed_out(&run) { late() } else { Err(JobError::from("told to stop").with_class(CLASS)) },
        }
    }

    async fn call(&self, run: &Run) -> Result<Outcome, JobError> {
        let ctx = &run.ctx;
        let (key, seconds) = (ctx.idempotency_key(), clock::unix(clock::now()).as_secs());
        let body = serde_json::to_vec(&Body {
            id: ctx.id().0,
            kind: run.kind,
            queue: ctx.queue(),
            attempt: ctx.attempt(),
            failures: ctx.failures(),
            max_attempts: ctx.max_attempts(),
            idempotency_key: &key,
            args: serde_json::from_str(&run.args)?,
        })?;
        let mut request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("haulage/", env!("CARGO_PKG_VERSION")))
            .header("haulage-job-id", ctx.id().to_string())
            .header("haulage-kind", run.kind)
            .header("haulage-attempt", ctx.attempt().to_string())
            .header("haulage-timestamp", seconds.to_string())
            .header("idempotency-key", key.as_str());
        if let Some(trace) = ctx.trace() {
            request = request.header("traceparent", trace.traceparent());
        }
        if let Some(secret) = &self.secret {
            request = request.header("haulage-signature", secret.sign(seconds, &body));
        }
        let answer = self.client.request(request.body(body.into())?).await.map_err(|error| self.no_answer(error))?;
        self.verdict(answer, run).await
    }

    async fn verdict(&self, answer: Response<Incoming>, run: &Run) -> Result<Outcome, JobError> {
        let status = answer.status();
        if status.is_success() {
            let (body, whole) = self.read(answer, MAX_OUTPUT_BYTES).await?;
            keep_output(&body, whole, run);
            return Ok(Outcome::Done);
        }
        let says_when = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wait = says_when.then(|| retry_after(answer.headers(), clock::now())).flatten();
        let place = &self.place;
        let text = if status.is_redirection() {
            let to = answer.headers().get(LOCATION).and_then(|to| self.url.join(to.to_str().ok()?).ok());
            let to = to.map(|to| format!(" to {}", to.origin().ascii_serialization())).unwrap_or_default();
            format!("{place} answered {status}, a redirect{to}, which is not followed: give the kind the URL it leads to")
        } else {
            let (body, whole) = match self.read(answer, EXCERPT).await {
                // The header has said enough.
                Err(_) if wait.is_some() => (Vec::new(), true),
                read => read?,
            };
            let (said, rest) = (String::from_utf8_lossy(&body), if whole { "" } else { "…" });
            match said.trim() {
                "" => format!("{place} answered {status}"),
                said => format!("{place} answered {status}: {said}{rest}"),
            }
        };
        let error = match wait {
            Some(wait) => JobError::retry_after(wait, text),
            None => JobError::from(text),
        };
        Err(error.with_class(CLASS))
    }

    /// The start of the body, and whether it is all of it.
    async fn read(&self, mut answer: Response<Incoming>, limit: usize) -> Result<(Vec<u8>, bool), JobError> {
        let mut body = Vec::new();
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| self.no_answer(error))?;
            let Some(chunk) = frame.data_ref() else { continue };
            let room = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok((body, false));
            }
        }
        Ok((body, true))
    }

    fn no_answer(&self, error: impl Into<BoxError>) -> JobError {
        JobError::from(NoAnswer { place: self.place.clone(), source: error.into() }).with_class(CLASS)
    }
}

fn client(resolver: Resolver) -> HttpClient {
    let mut connector = HttpConnector::new_with_resolver(resolver);
    // What is not http is not for it, but for the layer of TLS around it.
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(TLS.clone()).https_or_http().enable_http1().wrap_connector(connector);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)
}

/// What is not JSON, or too long, is no fault: the status is the verdict.
fn keep_output(body: &[u8], whole: bool, run: &Run) {
    let json = std::str::from_utf8(body).ok().filter(|body| whole && !body.trim().is_empty());
    let Some(json) = json.and_then(|body| serde_json::from_str::<&RawValue>(body).ok()) else { return };
    if let Err(error) = run.ctx.set_output(&json) {
        tracing::warn!(job = %run.ctx.id(), %error, "the JSON of the answer is not kept");
    }
}

/// A number of seconds, or a date. What is over says nothing: it would be a loop without a pause.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    (!wait.is_zero()).then(|| wait.min(LONGEST_WAIT))
}

/// With the certificates that the system trusts; reading them takes some milliseconds.
static TLS: LazyLock<rustls::ClientConfig> = LazyLock::new(|| {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "some certificates of the system could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the provider knows the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
});

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = if self.secret.is_some() { "signed" } else { "not signed" };
        write!(f, "{} ({signed})", self.place)
    }
}

/// As for people: what derives this prints the URL.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use hyper::header::HeaderValue;
    use tokio::net::TcpListener;

    use super::*;

    fn endpoint(table: &str, lookup: Lookup) -> Result<Endpoint, Problem> {
        Endpoint::with_lookup(toml::from_str(table).unwrap(), &|_| None, lookup)
    }

    #[tokio::test]
    async fn a_name_that_answers_differently_each_time_is_connected_to_nowhere_else_than_was_checked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // A public address first, then ours: a check that resolves apart from the connection would let the second through.
        let lookup: Lookup = Arc::new(move |_| {
            let address = if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { "192.0.1.1:0" } else { "127.0.0.1:0" };
            Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
        });
        let endpoint = endpoint(&format!("url = \"http://flips.example.org:{port}/\""), lookup).unwrap();
        let call = || {
            timeout(Duration::from_millis(300), endpoint.client.request(Request::post(endpoint.uri.clone()).body(Full::default()).unwrap()))
        };
        assert!(!call().await.is_ok_and(|answer| answer.is_ok()), "nobody answers at the first address");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once for one connection");
        let refused = call().await.expect("refused at once").unwrap_err();
        let text = endpoint.no_answer(refused).message();
        assert!(text.contains("127.0.0.1, which is loopback") && text.contains("allow_private"), "{text}");
        assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "it was connected to all the same");
    }

    #[test]
    fn an_address_in_the_url_is_looked_at_however_it_is_written() {
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "[fe80::1]"] {
            let (field, text) = endpoint(&format!("url = \"https://{host}/\""), system()).unwrap_err();
            assert!(field == "url" && text.contains("allow_private = true"), "{host}: {text}");
            endpoint(&format!("url = \"https://{host}/\"\nallow_private = true"), system()).unwrap();
        }
    }

    #[test]
    fn nothing_that_is_told_of_an_endpoint_holds_its_secrets() {
        let table = "url = \"https://example.org:8443/hooks/hunter2?token=hunter2\"";
        let told = endpoint(table, system()).unwrap().to_string();
        assert_eq!(told, "https://example.org:8443 (not signed)");
        for url in ["hunter2@example.org", "https://me:hunter2@example.org", "ftp://me:hunter2@example.org", "https://me:hunter2@[::1"] {
            let (_, text) = endpoint(&format!("url = \"{url}\""), system()).unwrap_err();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 03:00:00 GMT").unwrap();
        for (text, seconds) in [
            ("30", Some(30)),
            ("0", None),
            ("99999999999", Some(86_400)),
            ("Tue, 24 Nov 2026 03:02:00 GMT", Some(120)),
            ("Tue, 24 Nov 2020 03:02:00 GMT", None),
            ("soon", None),
            ("-5", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
