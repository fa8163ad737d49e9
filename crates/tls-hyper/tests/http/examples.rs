//! Each example as a program.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tls_tests::command::example;
use tls_tests::openssl::curl;
use tls_tests::pki::{Authority, IdentityFiles, KeyType, Leaf};
use tls_tests::process::{Finished, Process, require_or_skip};

/// Files as a user has them.
pub(crate) struct Files {
    pub(crate) directory: TempDir,
    pub(crate) ca: PathBuf,
    pub(crate) server: IdentityFiles,
    pub(crate) alice: IdentityFiles,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let server = authority.leaf(KeyType::P256, &["localhost", "127.0.0.1"]);
        let alice = authority.issue(&Leaf::new(KeyType::P256, &["alice.example"]).client());
        Self {
            ca: authority.write_root(directory.path()),
            server: server.write_to(directory.path(), "server"),
            alice: alice.write_to(directory.path(), "alice"),
            directory,
        }
    }

    /// Starts an example; gives it and the first line that it prints: where it serves.
    pub(crate) async fn start(&self, name: &str, arguments: &[&Path]) -> (Process, String) {
        let process = Process::spawn(example(name).to_str().unwrap(), arguments);
        process
            .wait_until("says where it serves", |process| {
                process.stdout().contains(&b'\n')
            })
            .await;
        let said = String::from_utf8(process.stdout()).unwrap();
        (process, said.lines().next().unwrap().to_owned())
    }

    /// The axum example, on a free port.
    pub(crate) async fn start_axum(&self) -> (Process, String) {
        let files = [&self.server.chain, &self.server.key, &self.ca].map(PathBuf::as_path);
        self.start("axum_mtls", &[&[Path::new("127.0.0.1:0")], &files[..]].concat())
            .await
    }
}

/// Sends a signal by the name that `kill` has for it, and waits for the end.
pub(crate) async fn signal(process: &Process, name: &str) {
    let id = process.id().unwrap().to_string();
    let sent = Process::spawn("kill", ["-s", name, &id]).finish().await;
    assert!(sent.status.success(), "{}", sent.text());
}

/// Ends it as Ctrl-C does.
pub(crate) async fn interrupt(process: Process) -> Finished {
    signal(&process, "INT").await;
    let ended = process.finish().await;
    assert!(ended.status.success(), "{}", ended.text());
    ended
}

#[tokio::test]
async fn hyper_client_gets_files_of_file_server() {
    let files = Files::new();
    let public = files.directory.path().join("public");
    std::fs::create_dir(&public).unwrap();
    std::fs::write(public.join("index.html"), "<h1>Hello</h1>").unwrap();
    std::fs::write(public.join("large"), vec![b'x'; 3_000_000]).unwrap();
    let (server, url) = files
        .start(
            "file_server",
            &[
                Path::new("127.0.0.1:0"),
                &files.server.chain,
                &files.server.key,
                &public,
            ],
        )
        .await;
    let client = example("hyper_client");
    let urls = ["", "large", "../server-key.pem", "missing"].map(|path| format!("{url}{path}"));
    let arguments = [files.ca.to_str().unwrap().to_owned()].into_iter().chain(urls);
    let got = Process::spawn(client.to_str().unwrap(), arguments).finish().await;
    assert!(got.status.success(), "{}", got.text());
    let said = String::from_utf8(got.stdout).unwrap();
    let said: Vec<_> = said
        .lines()
        .map(|line| line.strip_prefix(&url).unwrap())
        .collect();
    assert!(
        said[0].starts_with(": 200 OK HTTP/2.0, 14 bytes, TLSv1.3 TLS_"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("large: 200 OK HTTP/2.0, 3000000 bytes"),
        "{said:?}"
    );
    assert!(said[2].contains(": 404 Not Found"), "{said:?}");
    assert!(said[3].contains(": 404 Not Found"), "{said:?}");
    assert_eq!(said.len(), 4);
    let ended = interrupt(server).await;
    assert!(ended.text().contains("Drained"), "{}", ended.text());
}

#[tokio::test]
async fn axum_mtls_knows_its_members() {
    if !require_or_skip("curl") {
        return;
    }
    let files = Files::new();
    let (server, url) = files.start_axum().await;
    let ca = ["--cacert", files.ca.to_str().unwrap()];
    let certificate = [
        "--cert",
        files.alice.chain.to_str().unwrap(),
        "--key",
        files.alice.key.to_str().unwrap(),
    ];
    let members = format!("{url}members");
    for version in ["--http2", "--http1.1"] {
        let line = [&ca[..], &[version, "--write-out", "%{http_code}", &members]].concat();
        let stranger = curl(&line).finish().await;
        assert_eq!(stranger.stdout, b"Members only.\n403", "{}", stranger.text());
        let alice = curl(&[&line[..], &certificate].concat()).finish().await;
        assert_eq!(alice.stdout, b"Hello, alice.example.\n200", "{}", alice.text());
    }
    interrupt(server).await;
}

#[tokio::test]
async fn tonic_mtls_calls_itself() {
    let files = Files::new();
    let server = &files.server;
    let (server, url) = files
        .start(
            "tonic_mtls",
            &[
                Path::new("server"),
                Path::new("127.0.0.1:0"),
                &server.chain,
                &server.key,
                &files.ca,
            ],
        )
        .await;
    let client = Process::spawn(
        example("tonic_mtls").to_str().unwrap(),
        [
            Path::new("client"),
            Path::new(&url),
            &files.alice.chain,
            &files.alice.key,
            &files.ca,
        ],
    );
    let called = client.finish().await;
    assert!(called.status.success(), "{}", called.text());
    let said = "Hello, alice.example: the example\n1\n2\n3\nalice.example: one\nalice.example: two\n";
    assert_eq!(String::from_utf8(called.stdout).unwrap(), said);
    interrupt(server).await;
}
