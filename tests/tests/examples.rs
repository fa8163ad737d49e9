//! The examples of the crates, run as their first lines say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tls_tests::command::example;
use tls_tests::pki::{Authority, IdentityFiles, KeyType};
use tls_tests::process::{Finished, Process};
use tls_tests::redis_server::RedisServer;
use tls_tests::source::{rust_files, workspace};
use tls_transcript::{Recording, What, hex};

#[test]
fn each_example_is_run_by_a_test() {
    let mut tests = rust_files(&workspace().join("tests/tests"));
    let mut examples = Vec::new();
    for package in std::fs::read_dir(workspace().join("crates")).unwrap() {
        let package = package.unwrap().path();
        if let Ok(files) = package.join("examples").read_dir() {
            examples.extend(files.map(|file| file.unwrap().path()));
        }
        if package.join("tests").is_dir() {
            tests.extend(rust_files(&package.join("tests")));
        }
    }
    assert!(examples.len() >= 7, "{examples:?}");
    for file in examples {
        let name = format!("{:?}", file.file_stem().unwrap());
        let is_run = tests.iter().any(|(_, text)| text.contains(&name));
        assert!(is_run, "{name} is run by no test");
    }
}

#[tokio::test]
async fn a_blocking_client_and_server_need_no_runtime() {
    let files = Files::new();
    let example = example("std_tcp");
    let (_server, address) =
        listening(&example, &["serve", &files.chain(), &files.key(), "127.0.0.1:0"]).await;
    // A line of more than a record, for the limits of both buffers.
    let text = format!("one\n{}\nthree\n", "two ".repeat(20_000));
    let arguments = ["connect", &files.root(), "localhost", &address.to_string()];
    assert_said(&answered(&example, &arguments, &text).await, &text);
    let arguments = ["connect", &files.root(), "elsewhere", &address.to_string()];
    let finished = answered(&example, &arguments, "").await;
    assert!(!finished.status.success(), "{}", finished.text());
    assert!(finished.text().contains("NotValidForName"), "{}", finished.text());
}

#[tokio::test]
async fn an_echo_comes_back_through_a_router_that_sees_only_the_name() {
    let files = Files::new();
    let (server, behind) = listening(
        &example("echo_server"),
        &[&files.chain(), &files.key(), "127.0.0.1:0"],
    )
    .await;
    let (router, address) = listening(
        &example("sni_router"),
        &["127.0.0.1:0", &format!("localhost={behind}")],
    )
    .await;
    let text = "one\ntwo\n".repeat(50_000);
    let arguments = [&*files.root(), "localhost", &address.to_string()];
    assert_said(&answered(&example("echo_client"), &arguments, &text).await, &text);
    router.wait_for(": localhost").await;
    server.wait_for(&format!("{} bytes", text.len())).await;

    let interrupt = Process::spawn("kill", ["-INT", &server.id().unwrap().to_string()]);
    assert!(interrupt.finish().await.status.success());
    let finished = server.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert!(finished.text().contains("drained: "), "{}", finished.text());
}

#[tokio::test]
async fn a_server_of_a_fleet_resumes_what_another_made() {
    let Some(redis) = RedisServer::start().await else {
        return;
    };
    let (files, example) = (Files::new(), example("fleet"));
    let store_key = files.write("store.key", [7; 32]);
    let arguments = [
        "serve",
        &redis.url(),
        &store_key,
        &files.chain(),
        &files.key(),
        "127.0.0.1:0",
    ];
    let (_one, one) = listening(&example, &arguments).await;
    let (_two, two) = listening(&example, &arguments).await;
    let (one, two) = (one.to_string(), two.to_string());
    let visits = ["visit", &files.root(), "localhost", &one, &two, &one];
    let expected = format!("{one}: welcome\n{two}: welcome back\n{one}: welcome back\n");
    assert_said(&answered(&example, &visits, "").await, &expected);
}

#[tokio::test]
async fn a_transcript_is_shown_and_a_dump_with_its_key_log_like_it() {
    let (files, example) = (Files::new(), example("show"));
    let file = workspace().join("testdata/transcripts/client-tls13-x25519mlkem768.txt");
    let shown = answered(&example, &[file.to_str().unwrap()], "").await;
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(
        text.contains("ClientHello") && text.contains("\"gnip\\n\""),
        "{text}"
    );
    assert!(text.contains("records, 0 of them closed to us"), "{text}");

    let recording = Recording::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (mut dump, mut key_log) = (String::new(), String::new());
    for event in &recording.connections[0] {
        if let What::Bytes(bytes) = &event.what {
            let to = if event.from_client {
                "client to server"
            } else {
                "server to client"
            };
            writeln!(dump, ">>> {to}\n{}", hex(bytes)).unwrap();
        }
    }
    for secret in &recording.secrets {
        let (random, secret, label) = (hex(&secret.client_random), hex(&secret.secret), &secret.label);
        writeln!(key_log, "{label} {random} {secret}").unwrap();
    }
    let (dump, key_log) = (files.write("dump", dump), files.write("keys", key_log));
    assert_said(&answered(&example, &[&dump, &key_log], "").await, &text);
    let without = answered(&example, &[&dump], "").await;
    assert!(!without.text().contains("gnip"), "{}", without.text());
}

/// A certificate for localhost and its authority, as files.
struct Files {
    directory: TempDir,
    identity: IdentityFiles,
    root: PathBuf,
}

impl Files {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let identity = authority.leaf(KeyType::P256, &["localhost"]);
        Self {
            identity: identity.write_to(directory.path(), "server"),
            root: authority.write_root(directory.path()),
            directory,
        }
    }

    fn chain(&self) -> String {
        path(&self.identity.chain)
    }

    fn key(&self) -> String {
        path(&self.identity.key)
    }

    fn root(&self) -> String {
        path(&self.root)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let file = self.directory.path().join(name);
        std::fs::write(&file, content).unwrap();
        path(&file)
    }
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A server, and where it says that it listens.
async fn listening(example: &Path, arguments: &[&str]) -> (Process, SocketAddr) {
    let server = Process::spawn(example.to_str().unwrap(), arguments);
    let is_complete = |server: &Process| server.stdout().ends_with(b"\n");
    server.wait_until("says where it listens", is_complete).await;
    let said = server.text();
    let address = said.lines().find_map(|line| line.strip_prefix("listening on "));
    let address = address.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    (server, address)
}

/// Runs to its end with this as its input.
async fn answered(example: &Path, arguments: &[&str], input: &str) -> Finished {
    let mut process = Process::spawn(example.to_str().unwrap(), arguments);
    // It may end before it has read all.
    let _ = process.send(input.as_bytes()).await;
    process.close_stdin();
    process.finish().await
}

fn assert_said(finished: &Finished, expected: &str) {
    assert!(finished.status.success(), "{}", finished.text());
    // Not assert_eq: some are long.
    assert!(finished.stdout == expected.as_bytes(), "{}", finished.text());
}
