//! How `tls serve` starts, logs and ends, and what it leaves behind.
#![cfg(unix)]

use tls_tests::process::Process;

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
        let id = server.process.id().unwrap().to_string();
        assert!(
            Process::spawn("kill", [signal, &id])
                .finish()
                .await
                .status
                .success()
        );
        let ca = server.ca();
        let finished = server.process.finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        assert!(finished.text().contains("stopped"), "{}", finished.text());
        assert!(!ca.exists());
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
