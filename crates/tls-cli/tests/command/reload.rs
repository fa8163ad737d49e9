//! `tls serve --reload`.

use std::path::Path;

use tls_tests::pki::{Authority, KeyType, Leaf};
use tls_tests::process::Process;

use crate::support::{TLS, path, port, run, stderr};

/// Puts a new leaf of this authority where the server's files are.
fn replace(authority: &Authority, directory: &Path, name: &str) {
    let files = authority
        .leaf(KeyType::P256, &["localhost", name])
        .write_to(directory, name);
    // The key first: for a moment the two do not fit.
    std::fs::rename(files.key, directory.join("key.pem")).unwrap();
    std::fs::rename(files.chain, directory.join("chain.pem")).unwrap();
}

#[tokio::test]
async fn new_certificates_are_presented_and_a_broken_pair_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    replace(&authority, directory.path(), "first.test");
    let (chain, key) = (at("chain.pem"), at("key.pem"));
    let line = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--reload",
        "0.05",
        "--cert",
        path(&chain),
        "--key",
        path(&key),
    ];
    let server = Process::spawn(TLS, line);
    let target = format!("localhost:{}", port(&server).await);
    let presents = async |name: &str| {
        let finished = run(&["connect", &target, "--ca", path(&root), "--json"]).await;
        assert!(finished.status.success(), "{}", finished.text());
        String::from_utf8(finished.stdout).unwrap().contains(name)
    };
    assert!(presents("first.test").await);

    replace(&authority, directory.path(), "second.test");
    server.wait_for("\nreloaded ").await;
    assert!(presents("second.test").await);

    std::fs::write(&chain, "no certificate").unwrap();
    let log = server.wait_for("not reloaded: ").await;
    assert!(log.contains("chain.pem"), "{log}");
    assert!(presents("second.test").await);
}

#[tokio::test]
async fn a_revoked_client_is_refused_once_the_list_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.issue(&Leaf::new(KeyType::P256, &["client.test"]).client());
    let files = identity.write_to(directory.path(), "client");
    let root = authority.write_root(directory.path());
    let list = directory.path().join("list.pem");
    std::fs::write(&list, authority.revocation_lists(&[])).unwrap();
    let server = crate::support::Server::start(&[
        "--client-ca",
        path(&root),
        "--client-crl",
        path(&list),
        "--require-client-cert",
        "--reload",
        "0.05",
    ])
    .await;
    let connect = async || {
        let client = server.connect(&["--json", "--cert", path(&files.chain), "--key", path(&files.key)]);
        client.finish().await
    };
    let finished = connect().await;
    assert!(stderr(&finished).is_empty(), "{}", finished.text());
    std::fs::write(&list, authority.revocation_lists(&[&identity])).unwrap();
    server.process.wait_for("\nreloaded ").await;
    connect().await;
    server.process.wait_for("revoked").await;
}
