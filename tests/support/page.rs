//! Asking the dashboard, as a browser does.

use std::net::SocketAddr;

use axum::Router;
use reqwest::StatusCode;

use super::PATIENCE;

/// Serves until the test's runtime ends.
pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await });
    format!("http://{address}")
}

/// Follows no redirect.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// What a path is answered with.
pub(crate) async fn get(url: &str, path: &str) -> (StatusCode, String) {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let answer = client.get(format!("{url}{path}")).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A page that is there.
pub(crate) async fn page(url: &str, path: &str) -> String {
    let (status, page) = get(url, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {page}");
    page
}
