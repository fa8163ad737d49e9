//! The example `remote_signer`: a server and its key in two processes, and OpenSSL as the client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tls_core::{AlertDescription, ProtocolVersion};
use tls_tests::both_versions;
use tls_tests::command::example;
use tls_tests::openssl::{Negotiated, s_client};
use tls_tests::pki::{Authority, IdentityFiles, KeyType};
use tls_tests::process::{Finished, Process, require_or_skip};

both_versions!(
    real async a_key_in_another_process_signs_and_may_be_restarted,
    what_another_key_signs_is_not_sent,
);

struct World {
    directory: TempDir,
    root: PathBuf,
    identity: IdentityFiles,
    other: IdentityFiles,
}

impl World {
    fn new(key_type: KeyType) -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let issue = |prefix| {
            authority
                .leaf(key_type, &["localhost"])
                .write_to(directory.path(), prefix)
        };
        Self {
            root: authority.write_root(directory.path()),
            identity: issue("server"),
            other: issue("other"),
            directory,
        }
    }

    fn start(&self, arguments: [&Path; 4]) -> Process {
        let arguments = arguments
            .into_iter()
            .filter(|argument| !argument.as_os_str().is_empty());
        Process::spawn(example("remote_signer").to_str().unwrap(), arguments)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("signer.sock")
    }

    async fn signer(&self, identity: &IdentityFiles) -> Process {
        let signer = self.start(["sign".as_ref(), &self.socket(), &identity.key, "".as_ref()]);
        signer.wait_for("signing on").await;
        signer
    }

    async fn server(&self) -> (Process, SocketAddr) {
        let arguments = [
            "serve".as_ref(),
            &*self.socket(),
            &*self.identity.chain,
            "127.0.0.1:0".as_ref(),
        ];
        let server = self.start(arguments);
        let is_complete = |server: &Process| server.stdout().ends_with(b"\n");
        server.wait_until("says where it listens", is_complete).await;
        let said = server.text();
        let address = said.lines().find_map(|line| line.strip_prefix("listening on "));
        let address = address.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        (server, address)
    }

    /// `openssl s_client`, until the server closes.
    async fn visit(&self, address: SocketAddr, version: ProtocolVersion) -> Finished {
        let version = match version {
            ProtocolVersion::TLS12 => "-tls1_2",
            _ => "-tls1_3",
        };
        let root = self.root.to_str().unwrap();
        let arguments = [
            "-CAfile",
            root,
            "-servername",
            "localhost",
            "-verify_return_error",
            version,
        ];
        s_client(address, &arguments).finish().await
    }
}

fn assert_greeted(visit: &Finished) {
    let text = visit.text();
    assert!(text.contains("signed elsewhere"), "{text}");
    let negotiated = Negotiated::parse(&text).unwrap();
    assert_eq!(
        (negotiated.verify_code, negotiated.chain_length),
        (Some(0), 2),
        "{text}"
    );
}

fn assert_refused(visit: &Finished) {
    assert_eq!(
        visit.alert_seen(),
        Some(AlertDescription::INTERNAL_ERROR.0),
        "{}",
        visit.text()
    );
    assert!(!visit.text().contains("signed elsewhere"), "{}", visit.text());
}

async fn a_key_in_another_process_signs_and_may_be_restarted(version: ProtocolVersion) {
    if !require_or_skip("openssl") {
        return;
    }
    for key_type in [KeyType::P256, KeyType::Rsa2048] {
        let world = World::new(key_type);
        let signer = world.signer(&world.identity).await;
        let (server, address) = world.server().await;
        for _ in 0..2 {
            assert_greeted(&world.visit(address, version).await);
        }

        signer.kill().await;
        assert_refused(&world.visit(address, version).await);
        let said = server.wait_for("the signer:").await;
        assert!(said.contains("PrivateKey"), "{said}");

        let signer = world.signer(&world.identity).await;
        assert_greeted(&world.visit(address, version).await);

        // Restarted between two handshakes: the server's idle connection is to the one before.
        signer.kill().await;
        let _signer = world.signer(&world.identity).await;
        assert_greeted(&world.visit(address, version).await);
    }
}

async fn what_another_key_signs_is_not_sent(version: ProtocolVersion) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new(KeyType::P256);
    let _signer = world.signer(&world.other).await;
    let (server, address) = world.server().await;
    assert_refused(&world.visit(address, version).await);
    let said = server.wait_for("does not fit the certificate").await;
    assert!(said.contains("PrivateKey"), "{said}");
}
