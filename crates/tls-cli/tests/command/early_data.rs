//! `tls serve --early-data` and `tls connect --early-data`.

use serde_json::{Value, json};

use crate::support::{Server, path, run, stderr};

const GET: &[u8] = b"GET /json HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_request_in_early_data_is_answered_before_the_handshake_is_over() {
    let server = Server::start(&["--early-data", "1000", "--alpn", ""]).await;
    let file = server.directory.path().join("request");
    std::fs::write(&file, GET).unwrap();
    let client = server.connect(&["--resume", "2", "--early-data", path(&file)]);
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = stderr(&finished);
    assert_eq!(
        text.matches(", 39 of 39 bytes of early data accepted\n").count(),
        2,
        "{text}"
    );
    let (_, body) = str::from_utf8(&finished.stdout)
        .unwrap()
        .split_once("\r\n\r\n")
        .unwrap();
    let page: Value = serde_json::from_str(body).unwrap();
    assert_eq!(page["early_data"], json!("accepted"));
    let log = server.process.wait_for("GET /json 200 in early data").await;
    assert!(
        log.contains("resumed handshake") && log.contains(", early data accepted"),
        "{log}"
    );
}

#[tokio::test]
async fn what_is_no_safe_or_whole_request_waits_for_the_end_of_the_handshake() {
    // (sent early, the limit, what the log says)
    for (request, limit, said) in [
        ("POST / HTTP/1.1\r\n\r\n", "1000", "POST / 405"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "10", "GET / 200"),
        ("GET /keyupdate HTTP/1.1\r\n\r\n", "1000", "GET /keyupdate 200"),
    ] {
        let server = Server::start(&["--early-data", limit, "--alpn", ""]).await;
        let file = server.directory.path().join("request");
        std::fs::write(&file, request).unwrap();
        let client = server.connect(&["--resume", "1", "--early-data", path(&file)]);
        let finished = client.finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        assert!(finished.stdout.starts_with(b"HTTP/1.1 "), "{}", finished.text());
        let log = server.process.wait_for(said).await;
        assert!(
            !log.contains("in early data") && log.contains(", early data accepted"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_server_without_it_gets_the_same_bytes_after_the_handshake() {
    let server = Server::start(&["--echo"]).await;
    let file = server.directory.path().join("line");
    std::fs::write(&file, "not early\n").unwrap();
    let mut client = server.connect(&["--resume", "1", "--early-data", path(&file)]);
    client.wait_for("not early").await;
    client.close_stdin();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert_eq!(finished.stdout, b"not early\n");
    let text = stderr(&finished);
    assert!(text.contains("handshake 1: resumed"), "{text}");
    assert!(
        text.contains(", 0 of 10 bytes of early data accepted\n"),
        "{text}"
    );
}

#[tokio::test]
async fn early_data_is_echoed_after_the_handshake_and_told_of_in_json() {
    let server = Server::start(&["--echo", "--early-data", "4"]).await;
    let file = server.directory.path().join("line");
    std::fs::write(&file, "early\n").unwrap();
    let client = server.connect(&["--json", "--resume", "1", "--early-data", path(&file)]);
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let [first, second] = [&json["handshakes"][0], &json["handshakes"][1]];
    assert_eq!(first["early_data"], Value::Null);
    assert_eq!(second["early_data"], json!("accepted"));
    assert_eq!(second["early_data_accepted_bytes"], json!(4));
    server.process.wait_for("echoed 6 bytes").await;
}

#[tokio::test]
async fn early_data_without_a_reconnection_is_a_misuse() {
    let finished = run(&["connect", "localhost:1", "--early-data", "file"]).await;
    assert_eq!(finished.status.code(), Some(2), "{}", finished.text());
    assert!(stderr(&finished).contains("--resume"), "{}", finished.text());
}
