//! Other programs at the other end, by the thousand: nginx and Go as servers, curl and h2load as clients.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get as route, post};
use hyper::Version;
use tempfile::TempDir;
use tls_hyper::HttpsConnector;
use tls_hyper::tls_tokio::{MemorySessionCache, ProtocolVersion};
use tls_tests::openssl::{curl, listening_port};
use tls_tests::process::{Finished, Process, find_or_skip, require_or_skip};
use tls_tests::versions::{Only as _, VERSIONS};
use tokio::time::timeout;

use crate::pool::{MOST_OF_HTTP_1, Seen, storm};
use crate::support::{HttpsClient, PATIENCE, World, client, get, tcp};

/// A client that offers one version of HTTP, and remembers sessions.
fn remembering(world: &World, version: ProtocolVersion, http: Version) -> HttpsClient {
    let cache = Arc::new(MemorySessionCache::new(16));
    let config = world.client_config().session_cache(cache).only(version);
    let builder = HttpsConnector::builder().with_tls_config(config.build().unwrap());
    let builder = match http {
        Version::HTTP_2 => builder.enable_http2(),
        _ => builder.enable_http1(),
    };
    client(builder.wrap_connector(tcp()).unwrap())
}

/// nginx with what it needs in a directory of its own.
struct Nginx {
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl Nginx {
    /// `None` where it is not installed. It closes connections of HTTP/1 after so many requests.
    async fn start(world: &World, keepalive_requests: u32) -> Option<Self> {
        if !require_or_skip("nginx") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let files = world.server.write_to(directory.path(), "server");
        // It cannot be asked for a free port, so others may be quicker: then the next one is tried.
        for _ in 0..20 {
            let port = free_port();
            let config = format!(
                "daemon off; master_process off; pid nginx.pid; error_log stderr;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{\n\
                 access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
                 uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
                 ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:1m;\n\
                 keepalive_requests {keepalive_requests};\n\
                 server {{\n\
                 listen 127.0.0.1:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {};\n\
                 location / {{ return 200 \"nginx $ssl_protocol $server_protocol\\n\"; }}\n\
                 }} }}\n",
                files.chain.display(),
                files.key.display()
            );
            let path = directory.path().join("nginx.conf");
            std::fs::write(&path, config).unwrap();
            let prefix = format!("{}/", directory.path().display());
            let line = ["-p", &prefix, "-c", path.to_str().unwrap(), "-e", "stderr"];
            let process = Process::spawn("nginx", line);
            if listens(&process, port).await {
                return Some(Self {
                    process,
                    port,
                    _directory: directory,
                });
            }
        }
        panic!("nginx finds no port");
    }

    fn uri(&self) -> hyper::Uri {
        format!("https://localhost:{}/", self.port).parse().unwrap()
    }
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until nginx listens there; false if it says that somebody else does.
async fn listens(process: &Process, port: u16) -> bool {
    let waited = timeout(PATIENCE, async {
        while !process.text().contains("bind() to") {
            if listening_port(process.id().unwrap()) == Some(port) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
    });
    waited.await.unwrap_or_else(|_| panic!("{}", process.text()))
}

#[tokio::test]
async fn nginx_answers_ten_thousand_requests() {
    let world = World::new();
    let Some(nginx) = Nginx::start(&world, 100_000).await else {
        return;
    };
    for (http, requests, at_once, connections) in [
        (Version::HTTP_2, 6000, 40, 1),
        (Version::HTTP_11, 4000, 8, MOST_OF_HTTP_1),
    ] {
        let client = remembering(&world, ProtocolVersion::TLS13, http);
        get(&client, nginx.uri()).await;
        let seen = storm(&client, nginx.uri(), requests, at_once, http, "nginx TLSv1.3").await;
        assert!(
            seen.connections.len() <= connections,
            "{}",
            seen.connections.len()
        );
    }
    nginx.process.kill().await;
}

#[tokio::test]
async fn nginx_is_resumed_whenever_it_ends_a_connection() {
    let world = World::new();
    let Some(nginx) = Nginx::start(&world, 20).await else {
        return;
    };
    for version in VERSIONS {
        let client = remembering(&world, version, Version::HTTP_11);
        // One after the other: a session is there for each connection but the first.
        let Seen {
            connections, resumed, ..
        } = storm(&client, nginx.uri(), 500, 1, Version::HTTP_11, "nginx TLSv1.").await;
        let (connections, resumed) = (connections.len(), resumed.len());
        assert!((25..=MOST_OF_HTTP_1).contains(&connections), "{connections}");
        assert_eq!(resumed, connections - 1, "{version}");
    }
    nginx.process.kill().await;
}

/// Serves by HTTP/2 and HTTP/1.1, and says on which port.
const GO: &str = r#"
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("port %d.\n", listener.Addr().(*net.TCPAddr).Port)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "go %x %s resumed %v\n", r.TLS.Version, r.Proto, r.TLS.DidResume)
	})
	panic(http.ServeTLS(listener, nil, os.Args[1], os.Args[2]))
}
"#;

#[tokio::test]
async fn go_answers_ten_thousand_requests_and_resumes() {
    if !find_or_skip("go") {
        return;
    }
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let files = world.server.write_to(directory.path(), "server");
    let (source, program) = (directory.path().join("main.go"), directory.path().join("server"));
    std::fs::write(&source, GO).unwrap();
    let built = tokio::process::Command::new("go")
        .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go"))
        .env("GOTOOLCHAIN", "local")
        .args([Path::new("build"), Path::new("-o"), &program, &source])
        .output()
        .await
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let server = Process::spawn(program.to_str().unwrap(), [&files.chain, &files.key]);
    let said = server.wait_for(".\n").await;
    let port = said.split_once("port ").unwrap().1.split_once('.').unwrap().0;
    let uri: hyper::Uri = format!("https://localhost:{port}/").parse().unwrap();

    for (http, requests, at_once, connections) in [
        (Version::HTTP_2, 6000, 40, 1),
        (Version::HTTP_11, 4000, 8, MOST_OF_HTTP_1),
    ] {
        let client = remembering(&world, ProtocolVersion::TLS13, http);
        get(&client, uri.clone()).await;
        let seen = storm(&client, uri.clone(), requests, at_once, http, "go 304").await;
        assert!(
            seen.connections.len() <= connections,
            "{}",
            seen.connections.len()
        );
    }
    for version in VERSIONS {
        let config = world
            .client_config()
            .session_cache(Arc::new(MemorySessionCache::new(16)))
            // Go has it since 1.21.
            .allow_missing_extended_main_secret();
        let connector = HttpsConnector::builder()
            .with_tls_config(config.only(version).build().unwrap())
            .enable_http2()
            .wrap_connector(tcp())
            .unwrap();
        for connection in 0..10 {
            let (_, page) = get(&client(connector.clone()), uri.clone()).await;
            let resumed = format!("resumed {}", connection > 0);
            assert!(page.contains(&resumed), "{version} {connection}: {page}");
        }
    }
    server.kill().await;
}

fn app() -> Router {
    Router::new()
        .route("/", route(|| async { "hello" }))
        .route("/large", route(|| async { vec![b'x'; 100_000] }))
        .route("/echo", post(|body: Bytes| async { body }))
}

#[tokio::test]
async fn curl_speaks_http_2_and_http_1_to_axum() {
    if !require_or_skip("curl") {
        return;
    }
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let root = world.authority.write_root(directory.path());
    let server = world.serve(app()).await;
    let origin = format!("https://localhost:{}", server.address.port());
    let resolve = format!("localhost:{}:127.0.0.1", server.address.port());
    let body = directory.path().join("body");
    std::fs::write(&body, "0123456789".repeat(50_000)).unwrap();
    let upload = format!("@{}", body.display());
    let fetch = async |arguments: &[&str]| -> Finished {
        let line = ["--resolve", &resolve, "--cacert", root.to_str().unwrap()];
        let done = curl(&[&line[..], arguments].concat()).finish().await;
        assert!(done.status.success(), "{}", done.text());
        done
    };
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        // The same page a hundred times by one curl, over one connection.
        let pages = format!("{origin}/?[1-100]");
        let seen = fetch(&[flag, "--write-out", " %{http_version} %{num_connects}\n", &pages]).await;
        let seen = String::from_utf8(seen.stdout).unwrap();
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!(lines.len(), 100);
        assert_eq!(lines[0], format!("hello {version} 1"));
        assert!(
            lines[1..]
                .iter()
                .all(|line| *line == format!("hello {version} 0")),
            "{seen}"
        );
        let echoed = fetch(&[flag, "--data-binary", &upload, &format!("{origin}/echo")]).await;
        assert!(echoed.stdout == std::fs::read(&body).unwrap());
        assert_eq!(
            fetch(&[flag, &format!("{origin}/large")]).await.stdout,
            vec![b'x'; 100_000]
        );
    }
}

#[tokio::test]
async fn h2load_gets_twenty_thousand_pages_without_an_error() {
    if !require_or_skip("h2load") {
        return;
    }
    let world = World::new();
    let server = world.serve(app()).await;
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    for arguments in [
        &["--requests=10000", "--clients=10", "--max-concurrent-streams=10"][..],
        &["--requests=10000", "--clients=10", "--npn-list=http/1.1"],
    ] {
        let done = h2load(&[arguments, &[&url]].concat()).await;
        done.assert_all(10_000);
    }
    let large = format!("{url}large");
    h2load(&[
        "--requests=500",
        "--clients=5",
        "--max-concurrent-streams=5",
        &large,
    ])
    .await
    .assert_all(500);
    let counts = server.handle.counts();
    assert_eq!((counts.accepted, counts.failed.total()), (25, 0), "{counts:?}");
}

/// What h2load has counted.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) total: u64,
    pub(crate) started: u64,
    pub(crate) done: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) errored: u64,
    pub(crate) text: String,
}

impl Load {
    /// That so many were sent, and all of them succeeded.
    pub(crate) fn assert_all(&self, total: u64) {
        let all = (self.total, self.succeeded, self.failed, self.errored);
        assert_eq!(all, (total, total, 0, 0), "{}", self.text);
        assert!(
            self.text
                .contains(&format!("status codes: {total} 2xx, 0 3xx, 0 4xx, 0 5xx")),
            "{}",
            self.text
        );
    }
}

/// Runs it to the end.
pub(crate) async fn h2load(arguments: &[&str]) -> Load {
    finish(Process::spawn("h2load", arguments)).await
}

/// Waits until it has ended, as long as it gets on.
pub(crate) async fn finish(h2load: Process) -> Load {
    for percent in [20, 40, 60, 80] {
        let progress = format!("progress: {percent}% done");
        let is_there = |process: &Process| {
            let text = process.text();
            text.contains(&progress) || text.contains("finished in")
        };
        h2load.wait_until("gets on", is_there).await;
    }
    load(h2load.finish().await)
}

/// Reads what it said.
fn load(done: Finished) -> Load {
    assert!(done.status.success(), "{}", done.text());
    let text = done.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))
        .unwrap();
    let count = |name: &str| {
        let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == name).unwrap();
        words[at - 1].parse().unwrap()
    };
    Load {
        total: count("total"),
        started: count("started"),
        done: count("done"),
        succeeded: count("succeeded"),
        failed: count("failed"),
        errored: count("errored"),
        text,
    }
}
