//! `tls capture` with clients of all kinds, and what other tools make of their hellos.

mod oracle;

use std::path::PathBuf;

use serde_json::{Value, json};
use tls_tests::chromium::{self, CHROMIUM};
use tls_tests::openssl::{curl, s_client};
use tls_tests::process::{Process, find, require_one_or_skip, require_or_skip};
use tls_tokio::tls_core::ClientHello;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, path, run};

/// A running `tls capture` that writes to a file.
struct Capture {
    server: Server,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Capture {
    async fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hello.jsonl");
        let server = Server::start_as("capture", &[&["--out", path(&file)], arguments].concat()).await;
        Self {
            server,
            file,
            _directory: directory,
        }
    }

    /// The lines so far.
    fn lines(&self) -> Vec<Value> {
        lines(&std::fs::read_to_string(&self.file).unwrap())
    }

    /// The lines, once there are so many.
    async fn wait_for_lines(&self, count: usize) -> Vec<Value> {
        let deadline = std::time::Instant::now() + tls_tests::process::LIMIT;
        while self.lines().len() < count {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.lines());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.lines()
    }

    async fn curl(&self, arguments: &[&str]) -> String {
        let (ca, url) = (self.server.ca(), self.server.url("/"));
        let finished = curl(&[&["--cacert", path(&ca), &url], arguments].concat())
            .finish()
            .await;
        assert!(finished.status.success(), "{}", finished.text());
        String::from_utf8(finished.stdout).unwrap()
    }

    fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.server.port).into()
    }
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap();
    entries
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect()
}

#[tokio::test]
async fn a_client_is_shown_what_was_written_down_of_it() {
    let capture = Capture::start(&[]).await;
    let mut stream = capture.server.stream().await;
    // Written down before anything is asked.
    let recorded = capture.wait_for_lines(1).await.remove(0);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), recorded);

    let local = stream.get_ref().local_addr().unwrap();
    assert_eq!(recorded["client"], local.to_string());
    let time = recorded["time"].as_str().unwrap();
    assert!(
        time.len() == 24 && time.starts_with("20") && time.ends_with('Z'),
        "{time}"
    );
    let hello = &recorded["client_hello"];
    assert_eq!(hello["server_name"], "localhost");
    assert_eq!(hello["alpn"], json!([]));
    assert_eq!(names(&hello["cipher_suites"])[0], "TLS_AES_128_GCM_SHA256");
    assert_eq!(
        hello["key_shares"][0],
        json!({"name": "X25519MLKEM768", "code": "0x11ec", "length": 1216})
    );
    assert!(hello["ja4"].as_str().unwrap().starts_with("t13d09"), "{hello}");
    assert!(recorded.get("raw").is_none());
    assert_eq!(recorded["failure"], json!(null));
    assert_eq!(recorded["negotiated"]["version"], "TLSv1.3");
    assert_eq!(recorded["negotiated"]["group"], "X25519MLKEM768");
}

#[tokio::test]
async fn a_failed_handshake_is_written_down_with_its_reason() {
    if !require_or_skip("openssl") || !require_or_skip("curl") {
        return;
    }
    let capture = Capture::start(&["--min-version", "1.3"]).await;
    let refused = s_client(capture.address(), &["-tls1_2", "-servername", "localhost"])
        .finish()
        .await;
    assert_eq!(refused.alert_seen(), Some(70));
    // It has no root for our certificate.
    let refusing = curl(&[&capture.server.url("/")]).finish().await;
    assert_eq!(refusing.status.code(), Some(60));
    let mut tcp = TcpStream::connect(capture.address()).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let lines = capture.wait_for_lines(3).await;
    assert_eq!(lines[0]["client_hello"]["server_name"], "localhost");
    assert_eq!(lines[0]["negotiated"], json!(null));
    let failure = &lines[0]["failure"];
    assert_eq!(
        failure["alert_sent"],
        json!({"name": "protocol_version", "code": 70})
    );
    assert_eq!(failure["alert_received"], json!(null));
    assert_eq!(failure["phase"], "waiting for ClientHello");
    assert!(
        failure["error"].as_str().unwrap().contains("version"),
        "{failure}"
    );

    assert!(lines[1]["client_hello"]["ja4"].is_string());
    let failure = &lines[1]["failure"];
    assert_eq!(
        failure["alert_received"],
        json!({"name": "unknown_ca", "code": 48})
    );
    assert_eq!(failure["alert_sent"], json!(null));

    assert_eq!(lines[2]["client_hello"], json!(null));
    assert!(
        lines[2]["failure"]["error"]
            .as_str()
            .unwrap()
            .contains("plain HTTP"),
        "{}",
        lines[2]
    );
}

#[tokio::test]
async fn a_full_file_is_put_aside() {
    let capture = Capture::start(&["--max-size", "1", "--keep", "2"]).await;
    for count in 1..=4 {
        drop(capture.server.stream().await);
        // The files hold a line each.
        let written = capture.wait_for_lines(1).await;
        assert_eq!(written.len(), 1);
        let deadline = std::time::Instant::now() + tls_tests::process::LIMIT;
        let numbered = |number: i32| PathBuf::from(format!("{}.{number}", path(&capture.file)));
        while (1..count.min(3)).any(|number| !numbered(number).exists()) {
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(!numbered(3).exists());
    }
}

#[tokio::test]
async fn without_a_file_the_lines_go_to_stdout_and_nothing_else_does() {
    let server = Server::start_as("capture", &["--raw"]).await;
    let stream = server.stream().await;
    server.process.wait_for("\"negotiated\"").await;
    drop(stream);
    let stdout = String::from_utf8(server.process.stdout()).unwrap();
    let line = lines(&stdout).remove(0);
    let raw = oracle::bytes(&line["raw"]);
    let hello = ClientHello::parse(&raw).unwrap();
    assert_eq!(hello.ja4(), line["client_hello"]["ja4"]);
    assert_eq!(hello.ja3(), line["client_hello"]["ja3"]);

    if find("jq").is_some() {
        let mut jq = Process::spawn("jq", ["-r", ".client_hello.cipher_suites[0].name"]);
        jq.send(stdout.as_bytes()).await.unwrap();
        jq.close_stdin();
        let finished = jq.finish().await;
        assert_eq!(
            finished.stdout,
            b"TLS_AES_128_GCM_SHA256\n",
            "{}",
            finished.text()
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_failure() {
    let finished = run(&[
        "capture",
        "--listen",
        "127.0.0.1:0",
        "--out",
        "/nowhere/hello.jsonl",
    ])
    .await;
    assert!(!finished.status.success());
    assert!(
        finished.text().contains("/nowhere/hello.jsonl"),
        "{}",
        finished.text()
    );
}

/// Has all clients that are installed connect; gives a line of each, with raw bytes.
async fn captured_clients(capture: &Capture) -> Vec<(String, Value)> {
    let ca = capture.server.ca();
    let ca = path(&ca);
    let mut clients = vec!["ours".to_owned()];
    drop(capture.server.stream().await);
    capture.wait_for_lines(1).await;
    let record = |name: &str, clients: &mut Vec<String>| {
        // Whatever a client does besides (Chromium may open a second connection) is of the same client.
        let new = capture.lines().len() - clients.len();
        clients.extend(std::iter::repeat_n(name.to_owned(), new));
    };
    if require_or_skip("curl") {
        for arguments in [&["--tlsv1.3"][..], &["--tls-max", "1.2"], &["--http1.0"]] {
            let page = capture.curl(arguments).await;
            let page: Value = serde_json::from_str(&page).unwrap();
            assert_eq!(capture.lines().last(), Some(&page));
            record(&format!("curl {arguments:?}"), &mut clients);
        }
    }
    if require_or_skip("openssl") {
        for arguments in [
            &["-tls1_3"][..],
            &["-tls1_2", "-noservername"],
            &["-alpn", "http/1.1,x", "-servername", "localhost"],
            &["-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-curves", "P-256:X25519"],
        ] {
            let mut client = s_client(capture.address(), &[&["-CAfile", ca], arguments].concat());
            client.close_stdin();
            client.finish().await;
            let name = format!("openssl {arguments:?}");
            capture.wait_for_lines(clients.len() + 1).await;
            record(&name, &mut clients);
        }
    }
    if require_or_skip("gnutls-cli") {
        for priority in ["NORMAL", "NORMAL:-VERS-TLS1.3", "SECURE256"] {
            let port = capture.server.port.to_string();
            let line = [
                "--x509cafile",
                ca,
                "--priority",
                priority,
                "--port",
                &port,
                "localhost",
            ];
            let mut client = Process::spawn("gnutls-cli", line);
            client.close_stdin();
            client.finish().await;
            capture.wait_for_lines(clients.len() + 1).await;
            record(&format!("gnutls-cli {priority}"), &mut clients);
        }
    }
    if let Some(chromium) = require_one_or_skip(&CHROMIUM) {
        let url = capture.server.url("/");
        let page = chromium::dump(chromium, &url, &["--ignore-certificate-errors"]).await;
        let hello = page.split_once('{').map_or("", |(_, rest)| rest);
        assert!(
            hello.contains("\"GREASE\"") && hello.contains("X25519MLKEM768"),
            "{page}"
        );
        capture.wait_for_lines(clients.len() + 1).await;
        record("chromium", &mut clients);
    }
    let lines = capture.lines();
    assert_eq!(lines.len(), clients.len());
    clients.into_iter().zip(lines).collect()
}

#[tokio::test]
async fn other_tools_see_the_same_fingerprints_in_the_same_hellos() {
    let capture = Capture::start(&["--raw"]).await;
    let clients = Box::pin(captured_clients(&capture)).await;
    let raws: Vec<Vec<u8>> = clients
        .iter()
        .map(|(_, line)| oracle::bytes(&line["raw"]))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let packets = directory.path().join("hellos.pcap");
    std::fs::write(&packets, oracle::pcap(&raws)).unwrap();

    for (name, line) in &clients {
        // It does not take our certificate, which is no matter here.
        let is_refused = name.contains("SECURE256");
        assert_eq!(
            line["failure"].is_object(),
            is_refused,
            "{name}: {}",
            line["failure"]
        );
        let hello = &line["client_hello"];
        let named_host = hello["server_name"] == "localhost";
        assert!(
            named_host || name.contains("-noservername") || name.contains("-tls1"),
            "{name}: {hello}"
        );
        assert_eq!(
            hello["extensions"].as_array().unwrap().len(),
            ClientHello::parse(&oracle::bytes(&line["raw"]))
                .unwrap()
                .extension_types()
                .len()
        );
    }
    if let Some(theirs) = oracle::ja3_by_tshark(&packets).await {
        assert_eq!(theirs.len(), clients.len());
        for ((name, line), [ja3, ja3_string]) in clients.iter().zip(&theirs) {
            assert_eq!(line["client_hello"]["ja3"], **ja3, "{name}: {ja3_string}");
            assert_eq!(line["client_hello"]["ja3_string"], **ja3_string, "{name}");
        }
    }
    if let Some(theirs) = oracle::ja4_by_ja4plus(&packets).await {
        assert_eq!(theirs.len(), clients.len());
        for ((name, line), fingerprints) in clients.iter().zip(&theirs) {
            let keys = ["ja4", "ja4_r", "ja4_o", "ja4_ro"];
            for (key, value) in keys.iter().zip(fingerprints) {
                assert_eq!(line["client_hello"][key], **value, "{key} of {name}");
            }
        }
    }
}
