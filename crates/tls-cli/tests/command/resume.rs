//! `tls connect --resume`, and what `tls serve` makes resumable.

use serde_json::Value;
use tls_tests::process::Finished;

use crate::support::{Server, run, stderr};

/// The versions and whether each handshake was resumed, from `--json`.
fn handshakes(finished: &Finished) -> Vec<(String, bool)> {
    assert!(finished.status.success(), "{}", finished.text());
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let all = json["handshakes"].as_array().unwrap();
    all.iter()
        .map(|one| {
            assert!(one["handshake_ms"].as_f64().unwrap() > 0.0);
            let version = one["version"].as_str().unwrap().to_owned();
            (version, one["resumed"].as_bool().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn every_reconnection_resumes_in_both_versions_with_tickets_and_with_a_store() {
    for options in [&[][..], &["--stateful"], &["--tickets", "1"]] {
        let server = Server::start(options).await;
        for (version, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
            let arguments = ["--json", "--resume", "3", "--max-version", version];
            let found = handshakes(&server.connect(&arguments).finish().await);
            let expected: Vec<_> = (0..4).map(|round| (name.to_owned(), round > 0)).collect();
            assert_eq!(found, expected, "{options:?}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tickets_resumes_nothing() {
    for options in [&["--tickets", "0"][..], &["--tickets", "0", "--stateful"]] {
        let server = Server::start(options).await;
        for version in ["1.2", "1.3"] {
            let arguments = ["--json", "--resume", "1", "--max-version", version];
            let found = handshakes(&server.connect(&arguments).finish().await);
            assert!(found.iter().all(|(_, resumed)| !resumed), "{options:?} {found:?}");
        }
    }
}

#[tokio::test]
async fn the_handshakes_are_shown_and_the_last_connection_is_joined() {
    let server = Server::start(&["--echo"]).await;
    let mut client = server.connect(&["--resume", "2", "--max-version", "1.2"]);
    client.send(b"hello\n").await.unwrap();
    client.close_stdin();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert_eq!(finished.stdout, b"hello\n");
    let text = stderr(&finished);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("handshake "))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("handshake 0: full "), "{text}");
    for line in &lines[1..] {
        assert!(
            line.contains(": resumed ") && line.ends_with(" ms TLSv1.2"),
            "{text}"
        );
    }
    assert!(text.contains("\n2 of 2 reconnections were resumed\n"), "{text}");
    assert!(text.contains("none (resumed)"), "{text}");
    let log = server.process.wait_for("echoed 6 bytes").await;
    assert_eq!(log.matches("none (resumed)").count(), 2, "{log}");
}

#[tokio::test]
async fn without_the_option_nothing_is_said_of_reconnections() {
    let server = Server::start(&[]).await;
    let finished = server.connect(&["--json"]).finish().await;
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert!(json.get("handshakes").is_none());
}

#[tokio::test]
async fn the_options_are_in_the_help_and_checked() {
    let help = run(&["connect", "--help"]).await.text();
    assert!(help.contains("--resume <N>"), "{help}");
    let help = run(&["serve", "--help"]).await.text();
    assert!(
        help.contains("--tickets <N>") && help.contains("--stateful"),
        "{help}"
    );
    for wrong in [
        &["connect", "localhost:1", "--resume", "-1"][..],
        &["serve", "--tickets", "256"],
    ] {
        assert_eq!(run(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}
