//! `tls serve --redis`: its options, and a Redis that is not there.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use tls_tests::redis_server::RedisServer;

use crate::errors::assert_one_line;
use crate::support::{Server, path, run};

/// Nobody listens there.
const NOWHERE: &str = "redis://127.0.0.1:1/";

/// 32 bytes as text.
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

/// A file that its owner alone reads.
fn secret_file(file: &Path, content: &[u8]) {
    write(file, content).unwrap();
    set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_redis_needs_a_url_and_a_store_key() {
    let directory = tempfile::tempdir().unwrap();
    let (key, short, missing) = (
        directory.path().join("key"),
        directory.path().join("short"),
        directory.path().join("missing"),
    );
    secret_file(&key, HEX.as_bytes());
    secret_file(&short, &HEX.as_bytes()[..32 - 1]);
    let (key, short, missing) = (path(&key), path(&short), path(&missing));
    let cases: [(&[&str], &[&str], i32); 9] = [
        (
            &["--redis", NOWHERE],
            &["--store-key FILE", "openssl rand -hex 32"],
            2,
        ),
        (&["--store-key", key], &["--redis"], 2),
        (&["--redis-timeout", "1"], &["--redis"], 2),
        (
            &["--redis", "https://user:secret@localhost/", "--store-key", key],
            &["--redis", "no URL of a Redis"],
            2,
        ),
        (
            &["--redis", NOWHERE, "--store-key", short],
            &[short, "32 bytes"],
            1,
        ),
        (
            &["--redis", NOWHERE, "--store-key", key, "--store-key", short],
            &[short, "32 bytes"],
            1,
        ),
        (
            &["--redis", NOWHERE, "--store-key", missing],
            &[missing, "No such file"],
            1,
        ),
        (&["--ticket-key-period", "0"], &["--ticket-key-period"], 2),
        (
            &["--ticket-key-period", "60", "--stateful"],
            &["--ticket-key-period", "--stateful"],
            2,
        ),
    ];
    for (arguments, parts, code) in cases {
        let line = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let finished = run(&line).await;
        assert_one_line(&finished, parts);
        assert_eq!(finished.status.code(), Some(code), "{arguments:?}");
        assert!(!finished.text().contains("secret"), "{}", finished.text());
    }
}

#[tokio::test]
async fn a_store_key_that_others_can_read_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    secret_file(&key, &[7; 32]);
    let arguments = ["--redis", NOWHERE, "--store-key", path(&key)];
    let server = Server::start(&arguments).await;
    assert!(!server.process.text().contains("others can read"));
    set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let server = Server::start(&arguments).await;
    let text = server.process.wait_for("others can read").await;
    assert!(text.contains(path(&key)), "{text}");
}

/// Whether the second of two connections was resumed.
async fn resumes(server: &Server, version: &str) -> bool {
    let arguments = ["--json", "--resume", "1", "--max-version", version];
    let finished = server.connect(&arguments).finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(json["handshakes"][0]["resumed"], false);
    json["handshakes"][1]["resumed"].as_bool().unwrap()
}

#[tokio::test]
async fn without_an_answer_handshakes_are_full_and_the_log_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    secret_file(&key, HEX.as_bytes());
    for more in [&[][..], &["--stateful"]] {
        let Some(mut redis) = RedisServer::reserve() else {
            return;
        };
        let url = redis.url();
        let server = Server::start(&[&["--redis", &url, "--store-key", path(&key)], more].concat()).await;
        // Before anybody has connected.
        server
            .process
            .wait_for("Redis failed; handshakes go on without it")
            .await;
        for version in ["1.2", "1.3"] {
            assert!(!resumes(&server, version).await, "{more:?}");
        }
        redis.run().await;
        server.process.wait_for("listening on").await;
        let mut tries = 0;
        while !resumes(&server, "1.2").await || !resumes(&server, "1.3").await {
            tries += 1;
            assert!(tries < 200, "{}", server.process.text());
        }
        assert!(
            server.process.text().contains("Redis answers again"),
            "{}",
            server.process.text()
        );
    }
}

#[tokio::test]
async fn what_is_in_redis_is_nobody_elses_to_read() {
    let Some(redis) = RedisServer::start().await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    secret_file(&key, HEX.as_bytes());
    let url = redis.url();
    let arguments = [
        "--redis",
        &url,
        "--store-key",
        path(&key),
        "--redis-timeout",
        "10",
    ];
    let server = Server::start(&arguments).await;
    assert!(resumes(&server, "1.3").await);
    // Another store key: the ticket keys there are of no use to it, and it makes its own.
    let other = directory.path().join("other");
    secret_file(&other, &[7; 32]);
    let arguments = [
        "--redis",
        &url,
        "--store-key",
        path(&other),
        "--redis-timeout",
        "10",
    ];
    let stranger = Server::start(&arguments).await;
    stranger.process.wait_for("an entry in Redis is ignored").await;
    assert!(resumes(&stranger, "1.3").await);
}

#[tokio::test]
async fn the_options_are_in_the_help() {
    let help = run(&["serve", "--help"]).await.text();
    for option in [
        "--redis <URL>",
        "--store-key <FILE>",
        "--redis-timeout <SECONDS>",
        "--ticket-key-period <SECONDS>",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
