//! `tls serve --metrics`, scraped as Prometheus does it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tls_tests::openssl::curl;
use tls_tests::process::{LIMIT, require_or_skip};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, TLS, run, stderr};

/// Where the server says that its metrics are: `ADDRESS:PORT`.
async fn address(server: &Server) -> String {
    // Said before what the start of a server is waited for by.
    let text = server.process.wait_for("metrics at http://").await;
    let line = text.lines().find(|line| line.starts_with("metrics at ")).unwrap();
    let address = line.strip_prefix("metrics at http://").unwrap();
    address.strip_suffix("/metrics").unwrap().to_owned()
}

/// The whole answer to these bytes.
async fn exchange(address: &str, request: &[u8]) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The numbers that are shown now, by name and labels. All that is shown must be as Prometheus reads it.
async fn scrape(address: &str) -> BTreeMap<String, f64> {
    let answer = exchange(address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    numbers(body)
}

/// What is in the text format.
fn numbers(body: &str) -> BTreeMap<String, f64> {
    let (mut typed, mut numbers) = (HashSet::new(), BTreeMap::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.split_once(' ').unwrap().1.len() > 10, "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(typed.insert(name.to_owned()), "{line} again");
        } else {
            let (name, number) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| family.strip_suffix(part))
                .unwrap_or(family);
            assert!(typed.contains(family), "{line} without its type");
            assert!(
                numbers.insert(name.to_owned(), number.parse().unwrap()).is_none(),
                "{line} again"
            );
        }
    }
    assert!(body.is_empty() || body.ends_with('\n'));
    numbers
}

/// The numbers once this one has its value: what is over is counted a moment after the client has seen it.
async fn scrape_until(address: &str, name: &str, value: f64) -> BTreeMap<String, f64> {
    let waiting = async {
        loop {
            let numbers = scrape(address).await;
            if numbers.get(name) == Some(&value) {
                return numbers;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("{name} does not become {value}"))
}

#[tokio::test]
async fn connections_are_shown_as_prometheus_reads_them() {
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--max-version", "1.3"]).await;
    let address = address(&server).await;
    assert_eq!(scrape(&address).await, BTreeMap::new(), "nothing has happened");
    assert!(server.connect(&["--json"]).finish().await.status.success());
    let mut stream = server.stream().await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await.unwrap();
    stream.shutdown().await.unwrap();
    // A client that does not trust it.
    let refused = server.connect(&["--name", "example.test"]).finish().await;
    assert!(!refused.status.success());
    // The gauges are the last to change.
    for (name, value) in [
        (r#"tls_handshakes_total{side="server",outcome="failed"}"#, 1.0),
        (r#"tls_handshakes_in_progress{side="server"}"#, 0.0),
        (r#"tls_streams_ended_total{side="server",how="clean"}"#, 2.0),
    ] {
        scrape_until(&address, name, value).await;
    }
    let numbers = scrape_until(&address, r#"tls_streams_open{side="server"}"#, 0.0).await;
    let labels =
        r#"version="TLSv1.3",cipher_suite="TLS_AES_128_GCM_SHA256",group="X25519MLKEM768",resumed="false""#;
    let established = r#"side="server",outcome="established""#;
    for (name, number) in [
        (r#"tls_handshakes_started_total{side="server"}"#.to_owned(), 3.0),
        (r#"tls_handshakes_in_progress{side="server"}"#.to_owned(), 0.0),
        (format!("tls_handshakes_total{{{established}}}"), 2.0),
        (format!("tls_connections_total{{side=\"server\",{labels}}}"), 2.0),
        (
            format!("tls_handshake_duration_seconds_count{{{established}}}"),
            2.0,
        ),
        (
            format!("tls_handshake_duration_seconds_bucket{{{established},le=\"+Inf\"}}"),
            2.0,
        ),
        (
            r#"tls_alerts_total{side="server",direction="received",alert="bad_certificate"}"#.to_owned(),
            1.0,
        ),
        (
            r#"tls_stream_duration_seconds_count{side="server"}"#.to_owned(),
            2.0,
        ),
        (
            r#"tls_streams_ended_total{side="server",how="clean"}"#.to_owned(),
            2.0,
        ),
    ] {
        assert_eq!(numbers.get(&name), Some(&number), "{name} in {numbers:#?}");
    }
    let took = numbers[&format!("tls_handshake_duration_seconds_sum{{{established}}}")];
    assert!(took > 0.0, "{took}");
    let bytes =
        |direction| numbers[&format!("tls_stream_bytes_total{{side=\"server\",direction=\"{direction}\"}}")];
    assert_eq!((bytes("received"), bytes("sent")), (18.0, page.len() as f64));
    let names = numbers.keys().filter(|name| !name.contains(r#"side="server""#));
    assert_eq!(names.count(), 0, "a server is a server");
}

#[tokio::test]
async fn curl_gets_the_metrics_and_other_requests_an_answer() {
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--echo"]).await;
    let address = address(&server).await;
    assert!(
        exchange(&address, b"GET / HTTP/1.1\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    assert!(
        exchange(&address, b"POST /metrics HTTP/1.1\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405 ")
    );
    assert!(
        exchange(&address, b"what?\n\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    let head = exchange(&address, b"HEAD /metrics HTTP/1.1\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    // Somebody who says nothing holds nobody up.
    let silent = TcpStream::connect(&address).await.unwrap();
    let mut stream = server.stream().await;
    stream.write_all(b"one\n").await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    if require_or_skip("curl") {
        let url = format!("http://{address}/metrics");
        let got = curl(&["--fail", &url]).finish().await;
        assert!(got.status.success(), "{}", got.text());
        let numbers = numbers(str::from_utf8(&got.stdout).unwrap());
        assert_eq!(numbers[r#"tls_streams_open{side="server"}"#], 1.0);
    }
    drop(silent);
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(&["serve", "--listen", "127.0.0.1:0", "--metrics", &address]).await;
    assert_eq!(finished.status.code(), Some(1), "{TLS}");
    assert!(
        stderr(&finished).contains(&format!("cannot show metrics on {address}: ")),
        "{finished:?}"
    );
}
