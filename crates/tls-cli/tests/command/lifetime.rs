//! How `tls serve` starts, logs and ends, and what it leaves behind.
#![cfg(unix)]

use std::time::Duration;

use tls_tests::process::{LIMIT, Process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Server, TLS, port};

#[tokio::test]
async fn it_stops_when_told_to_and_removes_the_ca_file() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::start(&[]).await;
        assert!(server.ca().exists());
        // A client that has gone no further than TCP must not keep it.
        let _idle = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        send(&server, signal).await;
        let ca = server.ca();
        let finished = server.process.finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        assert!(finished.text().contains("stopped"), "{}", finished.text());
        assert!(!ca.exists());
    }
}

async fn send(server: &Server, signal: &str) {
    let id = server.process.id().unwrap().to_string();
    let kill = Process::spawn("kill", [signal, &id]).finish().await;
    assert!(kill.status.success());
}

#[tokio::test]
async fn told_to_stop_it_closes_idle_connections_in_order() {
    let server = Server::start(&["--echo"]).await;
    let mut stream = server.stream().await;
    let mut line = [0; 4];
    stream.write_all(b"one\n").await.unwrap();
    stream.read_exact(&mut line).await.unwrap();
    send(&server, "-TERM").await;
    // close_notify, since anything else would be an error.
    assert_eq!(stream.read(&mut line).await.unwrap(), 0);
    stream.shutdown().await.unwrap();
    let finished = server.process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = finished.text();
    assert!(
        text.contains("stopped: 1 accepted, 1 established; at the end 1 finished, 0 cut off"),
        "{text}"
    );
}

#[tokio::test]
async fn told_to_stop_it_answers_requests_that_were_begun_and_nobody_else() {
    let server = Server::start(&[]).await;
    let mut stream = server.stream().await;
    stream.write_all(b"GET /json HTTP/1.1\r\n").await.unwrap();
    // Another one is answered, so that the server has read the first one's beginning.
    assert!(server.connect(&["--json"]).finish().await.status.success());
    send(&server, "-INT").await;
    server.process.wait_for("stopping: ").await;
    // The socket is closed right after that was said.
    let refused = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", server.port))
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, refused).await.unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    stream.shutdown().await.unwrap();
    let finished = server.process.finish().await;
    assert!(finished.text().contains(" 0 cut off"), "{}", finished.text());
}

#[tokio::test]
async fn what_does_not_end_in_time_or_before_a_second_signal_is_cut_off() {
    for (limit, signals) in [("0.3", 1), ("60", 2), ("0", 1)] {
        let server = Server::start(&["--drain", limit]).await;
        let mut stream = server.stream().await;
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert!(server.connect(&["--json"]).finish().await.status.success());
        send(&server, "-TERM").await;
        if signals == 2 {
            server.process.wait_for("stopping: ").await;
            send(&server, "-TERM").await;
        }
        let finished = server.process.finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        assert!(
            finished.text().contains(" 1 cut off"),
            "{limit}: {}",
            finished.text()
        );
        assert!(stream.read_u8().await.is_err());
    }
}

#[tokio::test]
async fn once_is_once() {
    let server = Server::start(&["--once"]).await;
    assert!(server.connect(&["--json"]).finish().await.status.success());
    let finished = server.process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());

    let server = Server::start(&["--once"]).await;
    assert!(
        !server
            .connect(&["--name", "example.test"])
            .finish()
            .await
            .status
            .success()
    );
    let finished = server.process.finish().await;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
}

#[tokio::test]
async fn the_ca_file_has_the_same_path_at_each_start() {
    let home = tempfile::tempdir().unwrap();
    let environment = format!("HOME={}", home.path().display());
    let server = Process::spawn(
        "env",
        [
            "XDG_STATE_HOME=",
            &environment,
            TLS,
            "serve",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    let port = port(&server).await;
    let file = home
        .path()
        .join(format!(".local/state/tls/development-ca-{port}.pem"));
    let text = server.wait_for("curl --cacert").await;
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[tokio::test]
async fn secrets_are_logged_where_sslkeylogfile_says() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("keys");
    let ca = directory.path().join("ca.pem");
    let environment = format!("SSLKEYLOGFILE={}", log.display());
    let arguments = [
        &environment,
        TLS,
        "serve",
        "--once",
        "--listen",
        "127.0.0.1:0",
        "--ca-out",
        ca.to_str().unwrap(),
    ];
    let server = Process::spawn("env", arguments);
    let target = format!("localhost:{}", port(&server).await);
    let client = Process::spawn(TLS, ["connect", &target, "--json", "--ca", ca.to_str().unwrap()]);
    assert!(client.finish().await.status.success());
    server.finish().await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("CLIENT_TRAFFIC_SECRET_0 "), "{text}");
    assert!(text.contains("SERVER_HANDSHAKE_TRAFFIC_SECRET "), "{text}");
}

#[tokio::test]
async fn one_client_does_not_hold_up_another() {
    let server = Server::start(&["--echo"]).await;
    let _silent = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let _open = server.stream().await;
    assert!(server.connect(&["--json"]).finish().await.status.success());
}
