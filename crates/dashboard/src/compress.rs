//! Answers as gzip, for whoever takes it: HTML shrinks to a tenth, and a page with charts is some 100 KB.
//!
//! Here and not left to the application around it or to a proxy, because `haulage dashboard` may have neither; what is compressed already
//! both leave alone. Streams go as they are.

use std::io::{self, Write};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use flate2::{Compression, GzBuilder, write::GzEncoder};

/// Below this the headers are most of it.
const SMALLEST: u64 = 1 << 10;
/// No answer of ours is larger; one that is would keep this thread for too long.
const LARGEST: u64 = 8 << 20;
/// A fifth of the time of the default, and a tenth more bytes.
const LEVEL: u32 = 3;
/// Who can make a browser ask, and sees how long the answers are that it gets, could guess by their length what stands in them next to
/// what was asked for (BREACH). So each is longer by a random number of bytes, up to this.
const PADDING: usize = 100;

pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let wanted = takes_gzip(request.headers()) && request.method() != Method::HEAD;
    let mut response = next.run(request).await;
    if !is_text(response.headers()) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let length = response.body().size_hint().exact().filter(|length| (SMALLEST..=LARGEST).contains(length));
    if !wanted || length.is_none() || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is all there already.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(smaller) = gzip(&body) else { return Response::from_parts(parts, body.into()) };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    // What it names are other bytes now.
    let tag = parts.headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(Ok(weak)) = tag.map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())) {
        parts.headers.insert(header::ETAG, weak);
    }
    Response::from_parts(parts, Body::from(smaller))
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let padding = vec![b'-'; rand::random_range(0..=PADDING)];
    let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new().comment(padding).write(Vec::new(), Compression::new(LEVEL));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Streams of events are texts too, and must not wait until they are long enough.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind != "text/event-stream" && (kind.starts_with("text/") || kind.ends_with("json") || kind == "image/svg+xml")
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|offers| offers.to_str().ok());
    offers.flat_map(|offers| offers.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = |part: &str| part.strip_prefix("q=").and_then(|share| share.parse::<f32>().ok()) == Some(0.0);
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::{Router, middleware, routing::get};
    use flate2::read::GzDecoder;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (offers, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(offers))]);
            assert_eq!(takes_gzip(&headers), takes, "{offers}");
        }
    }

    #[tokio::test]
    async fn a_long_text_comes_back_as_it_was_and_never_twice_as_long() {
        let text = "a job that waits\n".repeat(1_000);
        let (long, short) = (text.clone(), "short");
        let app = Router::new()
            .route("/long", get(move || async move { ([(header::ETAG, "\"1\"")], long) }))
            .route("/short", get(move || async move { short }))
            .layer(middleware::from_fn(compress));
        let ask = async |path: &str, offers: &str| {
            let request = Request::get(path).header(header::ACCEPT_ENCODING, offers).body(Body::empty()).unwrap();
            let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
            (parts.headers, to_bytes(body, usize::MAX).await.unwrap())
        };
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..30 {
            let (headers, body) = ask("/long", "gzip").await;
            assert_eq!(
                (&headers[header::CONTENT_ENCODING], &headers[header::ETAG], &headers[header::VARY]),
                (&"gzip".parse().unwrap(), &"W/\"1\"".parse().unwrap(), &"accept-encoding".parse().unwrap())
            );
            let mut read = String::new();
            GzDecoder::new(&body[..]).read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
            lengths.insert(body.len());
        }
        assert!(lengths.len() > 5 && *lengths.last().unwrap() < 500, "{lengths:?}");
        let (headers, body) = ask("/long", "br").await;
        assert_eq!(
            (headers.get(header::CONTENT_ENCODING), &body[..], &headers[header::ETAG]),
            (None, text.as_bytes(), &"\"1\"".parse().unwrap())
        );
        let (headers, body) = ask("/short", "gzip").await;
        assert_eq!((headers.get(header::CONTENT_ENCODING), &body[..]), (None, &b"short"[..]));
    }
}
