//! Whatever is wrong: one clear line, and an exit code that is not 0.

use std::time::Instant;

use tls_tests::pki::{Authority, KeyType, Leaf, Validity};
use tls_tests::process::{Finished, Process};
use tokio::net::TcpListener;

use crate::support::{Server, TLS, path, port, run, stderr};

/// One line on stderr that begins with `tls: ` and has each of these in it, nothing on stdout, and a failure.
pub(crate) fn assert_one_line(finished: &Finished, parts: &[&str]) {
    let text = stderr(finished);
    assert!(!finished.status.success(), "{text}");
    assert!(finished.status.code().is_some(), "killed: {text}");
    assert!(text.starts_with("tls: ") && text.ends_with('\n'), "{text:?}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(finished.stdout.is_empty(), "{}", finished.text());
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn bad_arguments() {
    let cases: [(&[&str], &str); 10] = [
        (&[], "subcommand"),
        (&["nonsense"], "nonsense"),
        (&["serve", "--nonsense"], "--nonsense"),
        (&["serve", "--http", "--echo"], "--echo"),
        (&["serve", "--cert", "a.pem"], "--key"),
        (&["serve", "--timeout", "soon"], "soon"),
        (&["connect"], "HOST:PORT"),
        (&["connect", "localhost"], "port"),
        (&["connect", "localhost:https"], "https"),
        (&["connect", "::1:443"], "brackets"),
    ];
    for (arguments, part) in cases {
        let finished = run(arguments).await;
        assert_one_line(&finished, &[part]);
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn help_and_version_are_no_errors() {
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["connect", "--help"],
        &["capture", "--help"],
        &["--version"],
    ] {
        let finished = run(arguments).await;
        assert!(finished.status.success());
        assert!(
            finished.stderr.is_empty() && !finished.stdout.is_empty(),
            "{}",
            finished.text()
        );
    }
}

#[tokio::test]
async fn missing_and_unfit_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    let one = authority
        .leaf(KeyType::P256, &["localhost"])
        .write_to(directory.path(), "one");
    let other = authority
        .leaf(KeyType::P256, &["localhost"])
        .write_to(directory.path(), "other");
    std::fs::write(at("nonsense"), "nonsense").unwrap();
    let (missing, nonsense) = (at("missing"), at("nonsense"));
    let (missing, nonsense) = (path(&missing), path(&nonsense));
    let (chain, key) = (path(&one.chain), path(&one.key));
    let unwritable = at("no/such/directory/ca.pem");

    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--cert", missing, "--key", key], &[missing, "No such file"]),
        (&["--cert", chain, "--key", missing], &[missing, "No such file"]),
        (&["--cert", nonsense, "--key", key], &[nonsense]),
        (&["--cert", chain, "--key", nonsense], &[nonsense]),
        (
            &["--cert", chain, "--key", path(&other.key)],
            &["does not belong"],
        ),
        (&["--ca-out", path(&unwritable)], &["No such file"]),
    ];
    for (arguments, parts) in cases {
        assert_one_line(&run(&[&serve, arguments].concat()).await, parts);
    }
    for (file, part) in [(missing, "No such file"), (nonsense, "no certificate")] {
        assert_one_line(
            &run(&["connect", "localhost:1", "--ca", file]).await,
            &[file, part],
        );
    }
}

#[tokio::test]
async fn ports_that_cannot_be_had() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_one_line(
        &run(&["serve", "--listen", &address]).await,
        &[&address, "in use"],
    );
    assert_one_line(&run(&["serve", "--listen", "nonsense"]).await, &["nonsense"]);
    drop(taken);
    assert_one_line(
        &run(&["connect", &address, "--insecure"]).await.without_warning(),
        &["refused"],
    );
}

trait WithoutWarning {
    /// Less the line that says that nothing is checked.
    fn without_warning(self) -> Self;
}

impl WithoutWarning for Finished {
    fn without_warning(mut self) -> Self {
        let text = stderr(&self);
        let rest = text
            .strip_prefix("the server's certificate is NOT checked (--insecure)\n")
            .unwrap();
        self.stderr = rest.as_bytes().to_vec();
        self
    }
}

#[tokio::test]
async fn certificates_that_are_refused() {
    let server = Server::start(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let other_root = Authority::new().write_root(directory.path());
    let wrong_ca = run(&["connect", &server.target(), "--ca", path(&other_root)]).await;
    assert_one_line(&wrong_ca, &["certificate refused", "no path to a trusted root"]);
    server.process.wait_for("unknown_ca").await;

    let wrong_name = server.connect(&["--name", "example.test"]).finish().await;
    assert_one_line(&wrong_name, &["certificate refused", "example.test", "localhost"]);
    let no_name = server.connect(&["--name", "not a name"]).finish().await;
    assert_one_line(&no_name, &["not a name"]);
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let expired = Leaf::new(KeyType::P256, &["localhost"]).validity(Validity::Expired);
    let files = authority.issue(&expired).write_to(directory.path(), "expired");
    let root = authority.write_root(directory.path());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--cert",
        path(&files.chain),
        "--key",
        path(&files.key),
    ];
    let server = Process::spawn(TLS, arguments);
    let target = format!("localhost:{}", port(&server).await);
    let finished = run(&["connect", &target, "--ca", path(&root)]).await;
    assert_one_line(&finished, &["certificate refused", "expired"]);
}

#[tokio::test]
async fn no_protocol_in_common() {
    let server = Server::start(&["--alpn", "h2"]).await;
    let finished = server.connect(&["--alpn", "http/1.1"]).finish().await;
    assert_one_line(&finished, &["no_application_protocol"]);
    server.process.wait_for("no common application protocol").await;
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = silent.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::new().write_root(directory.path());
    let started = Instant::now();
    let finished = run(&["connect", &target, "--timeout", "0.3", "--ca", path(&root)]).await;
    assert_one_line(&finished, &["timed out", "ServerHello"]);
    assert!(started.elapsed().as_secs() < 9, "the default limit was used");
}
