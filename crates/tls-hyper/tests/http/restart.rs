//! The axum example is replaced by another process while it serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::routing::get as route;
use hyper::Version;
use tls_hyper::{ClientConfig, HttpsConnector, RootStore};
use tls_tests::process::{Process, require_or_skip};

use crate::examples::{Files, signal};
use crate::peers::{Load, finish};
use crate::pool::{pooled, storm};
use crate::support::{PATIENCE, World, get};

/// The example and those that came after it, all of which write to the first one's stderr.
struct Line {
    first: Process,
    url: String,
    ca: PathBuf,
    _files: Files,
}

impl Line {
    async fn start() -> Self {
        let files = Files::new();
        let (first, url) = files.start_axum().await;
        Self {
            first,
            url,
            ca: files.ca.clone(),
            _files: files,
        }
    }

    /// Those that have been started, the first one first.
    fn processes(&self) -> Vec<u32> {
        let text = self.first.text();
        let later = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix(" serves now\n"));
        let later = later.map(|id| id.parse().unwrap());
        self.first_id().into_iter().chain(later).collect()
    }

    fn first_id(&self) -> Option<u32> {
        self.first.id()
    }

    /// Replaces the one that serves, and waits until the other one does.
    async fn restart(&self) {
        let before = self.processes();
        kill("HUP", *before.last().unwrap()).await;
        self.first
            .wait_until("has a successor", |_| self.processes().len() > before.len())
            .await;
    }

    /// Waits until this many have ended; gives what each said of its drain: connections that ended by themselves in it,
    /// and whether there were none that did not.
    async fn drained(&self, processes: usize) -> Vec<(u64, bool)> {
        let said = |process: &Process| -> Vec<_> {
            let text = process.text();
            let drains = text
                .lines()
                .filter_map(|line| line.split_once("Drained { finished: "));
            drains
                .map(|(_, rest)| {
                    let (finished, rest) = rest.split_once(',').unwrap();
                    (
                        finished.parse().unwrap(),
                        rest == " forced: 0, left: 0, handshakes: 0 }",
                    )
                })
                .collect()
        };
        self.first
            .wait_until("has ended, with its successors", |process| {
                said(process).len() >= processes
            })
            .await;
        said(&self.first)
    }

    /// Ends the last one, and waits for all.
    async fn end(self) {
        let processes = self.processes();
        kill("TERM", *processes.last().unwrap()).await;
        self.drained(processes.len()).await;
    }
}

/// For a test that fails: nobody is left behind.
impl Drop for Line {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for id in self.processes().into_iter().skip(1) {
                let _ = std::process::Command::new("kill")
                    .args(["-9", &id.to_string()])
                    .status();
            }
        }
    }
}

async fn kill(name: &str, id: u32) {
    let sent = Process::spawn("kill", ["-s", name, &id.to_string()])
        .finish()
        .await;
    assert!(sent.status.success(), "{}", sent.text());
}

/// Restarts while h2load is at it; checks that it was.
async fn restart_under_h2load(line: &Line, requests: u32, arguments: &[&str]) -> Load {
    let requests = format!("--requests={requests}");
    let before = line.processes().len();
    let arguments = [arguments, &[&requests, "--clients=10", &line.url]].concat();
    let h2load = Process::spawn("h2load", arguments);
    h2load.wait_for("progress: 10% done").await;
    line.restart().await;
    let drained = line.drained(before).await;
    let (finished, is_whole) = *drained.last().unwrap();
    assert!(finished > 0, "it was not under load: {}", line.first.text());
    assert!(is_whole, "{}", line.first.text());
    finish(h2load).await
}

#[tokio::test]
async fn no_request_of_http_1_fails_when_the_server_is_replaced() {
    if !require_or_skip("h2load") {
        return;
    }
    let line = Line::start().await;
    for _ in 0..2 {
        // It comes back where it was told `Connection: close`.
        let load = restart_under_h2load(&line, 40_000, &["--npn-list=http/1.1"]).await;
        load.assert_all(40_000);
    }
    line.end().await;
}

#[tokio::test]
async fn no_request_of_http_2_under_way_fails_when_the_server_is_replaced() {
    if !require_or_skip("h2load") {
        return;
    }
    let line = Line::start().await;
    for _ in 0..2 {
        // It does not come back after GOAWAY, and counts as failed what it had not sent by then: what it had not begun, and
        // what it had begun but not sent, at most what each connection may have under way. That the server answered
        // all that it was asked is what the last test here shows.
        let load = restart_under_h2load(&line, 40_000, &["--max-concurrent-streams=10"]).await;
        assert_eq!(load.done, load.started, "{}", load.text);
        assert!(load.started - load.succeeded <= 100, "{}", load.text);
        assert!((4_000..40_000).contains(&load.succeeded), "{}", load.text);
    }
    line.end().await;
}

#[tokio::test]
async fn a_pool_does_not_notice_that_the_server_is_replaced() {
    let line = Line::start().await;
    let roots = RootStore::from_pem(&std::fs::read(&line.ca).unwrap()).unwrap();
    let config = ClientConfig::builder().roots(roots).build().unwrap();
    for (version, connections) in [(Version::HTTP_11, 10), (Version::HTTP_2, 1)] {
        let builder = HttpsConnector::builder().with_tls_config(config.clone());
        let client = match version {
            Version::HTTP_11 => pooled(builder.enable_http1()),
            _ => pooled(builder.enable_http2()),
        };
        let uri: hyper::Uri = line.url.parse().unwrap();
        let (_, hello) = get(&client, uri.clone()).await;
        let loading = async {
            let seen = storm(&client, uri.clone(), 10_000, 10, version, &hello).await;
            seen.connections.len()
        };
        let restarting = async {
            line.restart().await;
            line.restart().await;
        };
        let (seen, ()) = tokio::join!(loading, restarting);
        assert!(seen > connections, "{seen} connections");
    }
    line.end().await;
}

#[tokio::test]
async fn the_old_one_goes_on_where_the_new_one_does_not_come_to_serve() {
    let line = Line::start().await;
    std::fs::rename(&line.ca, line.ca.with_extension("gone")).unwrap();
    signal(&line.first, "HUP").await;
    line.first.wait_for("the old one goes on").await;
    let roots = std::fs::read(line.ca.with_extension("gone")).unwrap();
    let config = ClientConfig::builder()
        .roots(RootStore::from_pem(&roots).unwrap())
        .build()
        .unwrap();
    let client = pooled(HttpsConnector::builder().with_tls_config(config));
    let process = format!("{}process", line.url).parse().unwrap();
    assert_eq!(
        get(&client, process).await.1,
        line.first_id().unwrap().to_string()
    );
    drop(client);
    line.end().await;
}

#[tokio::test]
async fn whoever_is_asked_while_draining_answers_all_that_it_has_begun() {
    if !require_or_skip("h2load") {
        return;
    }
    let world = World::new();
    for arguments in [&["--max-concurrent-streams=10"][..], &["--npn-list=http/1.1"]] {
        let handled = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&handled);
        let app = Router::new().route("/", route(async move || count.fetch_add(1, Relaxed).to_string()));
        let server = world.serve(app).await;
        let url = format!("https://127.0.0.1:{}/", server.address.port());
        let line = [arguments, &["--requests=40000", "--clients=10", &url]].concat();
        let h2load = Process::spawn("h2load", line);
        h2load.wait_for("progress: 10% done").await;
        let drained = server.stop(PATIENCE).drained().await;
        assert_eq!((drained.finished, drained.forced, drained.left), (10, 0, 0));
        let load = finish(h2load).await;
        assert_eq!(load.succeeded, handled.load(Relaxed), "{}", load.text);
        assert!((4_000..40_000).contains(&load.succeeded), "{}", load.text);
    }
}
