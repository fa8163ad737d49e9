//! A page of many parts in headless Chromium, over HTTP/2: loaded, reloaded, closed.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::{get as route, post};
use tls_tests::chromium::{Browser, CHROMIUM, key_hash};
use tls_tests::process::{require_one_or_skip, require_or_skip};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{PATIENCE, World};

const DOT: &str =
    r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4"/></svg>"#;

#[tokio::test]
async fn chromium_loads_reloads_and_leaves_a_page_without_an_error() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/", route(|| async { Html(include_str!("page.html")) }))
        .route(
            "/dot.svg",
            route(|| async { ([(CONTENT_TYPE, "image/svg+xml")], DOT) }),
        )
        .route("/text.txt", route(|| async { "x".repeat(100_000) }))
        .route(
            "/report",
            post(async move |report: String| drop(tell.send(report))),
        );
    let server = world.serve(app).await;
    let directory = tempfile::tempdir().unwrap();
    let files = world.server.write_to(directory.path(), "server");
    let trust = format!(
        "--ignore-certificate-errors-spki-list={}",
        key_hash(&files.leaf).await
    );

    let url = format!("https://127.0.0.1:{}/?tell", server.address.port());
    let browser = Browser::open(chromium, &url, &[&trust, "--enable-logging=stderr"]);
    for (visit, kind) in [(1, "navigate"), (2, "reload"), (3, "reload")] {
        let report = timeout(PATIENCE, told.recv()).await;
        let report = report
            .unwrap_or_else(|_| panic!("{}", browser.complaints()))
            .unwrap();
        assert_eq!(
            report.trim_end(),
            format!("visit {visit} ({kind}): 40 parts by h2, 0 errors")
        );
    }
    let counts = server.handle.counts();
    // One as a rule. A browser that finds a connection slow tries another one beside it, and gives one of them up.
    let failed = counts.failed.total() - counts.failed.truncated - counts.failed.link;
    assert!(counts.accepted <= 10 && failed == 0, "{counts:?}");
    let complaints = browser.close().await;
    for sign in [
        "CONSOLE",
        "ssl_client_socket",
        "ERR_SSL",
        "ERR_CONNECTION",
        "ERR_HTTP2",
    ] {
        assert!(!complaints.contains(sign), "{sign}: {complaints}");
    }
    // With it its connections are gone: there is nothing to wait for.
    let drained = server.stop(PATIENCE).drained().await;
    assert_eq!((drained.forced, drained.left), (0, 0), "{drained:?}");
}
