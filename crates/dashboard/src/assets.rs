//! Style sheet, scripts and icon, in the program itself: a page loads nothing from outside.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// A file under a name that changes with its content, so that a browser may keep it for good.
#[derive(Debug)]
pub(crate) struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| Asset::new("app", "css", "text/css", include_str!("../assets/app.css")));
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::new("app", "js", "text/javascript", include_str!("../assets/app.js")));
pub(crate) static LIVE: LazyLock<Asset> = LazyLock::new(|| Asset::new("live", "js", "text/javascript", include_str!("../assets/live.js")));
/// Not ours: see assets/vendor.
pub(crate) static MORPH: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("idiomorph", "js", "text/javascript", include_str!("../assets/vendor/idiomorph-0.8.0.min.js")));
pub(crate) static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

impl Asset {
    fn new(name: &str, end: &str, kind: &'static str, text: &'static str) -> Self {
        let hash: String = Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{name}-{hash}.{end}"), kind, text }
    }

    /// From our root.
    pub(crate) fn link(&self) -> String {
        format!("assets/{}", self.name)
    }
}

fn find(name: &str) -> Option<&'static Asset> {
    [&*STYLE, &*SCRIPT, &*LIVE, &*MORPH, &*ICON].into_iter().find(|asset| asset.name == name)
}

/// Whether a file of ours has this name.
pub(crate) fn is_one(name: &str) -> bool {
    find(name).is_some()
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = find(&name) else {
        // Of another version of this program: the next load of the page names the right one.
        return (StatusCode::NOT_FOUND, "there is no such file; load the page anew\n").into_response();
    };
    let kind = format!("{}; charset=utf-8", asset.kind);
    ([(header::CONTENT_TYPE, kind.as_str()), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], asset.text).into_response()
}
