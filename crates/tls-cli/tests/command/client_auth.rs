//! `tls serve --client-ca` and `tls connect --cert`.

use serde_json::Value;
use tempfile::TempDir;
use tls_tests::pki::{Authority, IdentityFiles, KeyType, Leaf};

use crate::support::{Server, path, run, stderr};

struct Client {
    directory: TempDir,
    files: IdentityFiles,
    ca: std::path::PathBuf,
}

impl Client {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let leaf = Leaf::new(KeyType::P256, &["client.example"]).client();
        let files = authority.issue(&leaf).write_to(directory.path(), "client");
        let ca = authority.write_root(directory.path());
        Self { directory, files, ca }
    }

    /// The options that present it.
    fn options(&self) -> [&str; 4] {
        ["--cert", path(&self.files.chain), "--key", path(&self.files.key)]
    }
}

/// What the server says of the connection of a client with these options, by its page for programs.
async fn seen(server: &Server, options: &[&str]) -> Value {
    let mut client = server.connect(options);
    client
        .send(b"GET /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = String::from_utf8(finished.stdout).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn a_client_with_a_certificate_is_known_and_one_without_may_come_in() {
    let client = Client::new();
    let server = Server::start(&["--client-ca", path(&client.ca)]).await;
    for version in ["1.2", "1.3"] {
        let limit = ["--max-version", version];
        let known = seen(&server, &[&client.options()[..], &limit].concat()).await;
        assert_eq!(known["client_certificate"], "CN=client.example");
        let unknown = seen(&server, &limit).await;
        assert!(unknown.get("client_certificate").is_none(), "{unknown}");
    }
    server.process.wait_for(", client CN=client.example,").await;
}

#[tokio::test]
async fn a_certificate_can_be_required() {
    let client = Client::new();
    let options = ["--client-ca", path(&client.ca), "--require-client-cert"];
    let server = Server::start(&options).await;
    for (version, alert) in [("1.2", "handshake_failure"), ("1.3", "certificate_required")] {
        let limit = ["--max-version", version];
        let known = seen(&server, &[&client.options()[..], &limit].concat()).await;
        assert_eq!(known["client_certificate"], "CN=client.example");
        let refused = server.connect(&limit).finish().await;
        assert!(!refused.status.success(), "{}", refused.text());
        assert!(stderr(&refused).contains(alert), "{}", refused.text());
    }
    let log = server
        .process
        .wait_for("the client presented no certificate")
        .await;
    assert!(log.contains("give the client a certificate"), "{log}");
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let client = Client::new();
    let missing = client.directory.path().join("missing.pem");
    for wrong in [
        &["serve", "--client-ca", path(&missing)][..],
        &[
            "connect",
            "localhost:1",
            "--cert",
            path(&client.files.chain),
            "--key",
            path(&missing),
        ],
    ] {
        let finished = run(wrong).await;
        assert!(!finished.status.success());
        assert!(stderr(&finished).contains("missing.pem"), "{}", finished.text());
    }
}
