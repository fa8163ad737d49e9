//! The example that routes by server name, between `openssl s_client` and two `openssl s_server`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "../../crates/tls-tokio/examples/sni_router.rs"]
#[allow(dead_code, reason = "its main function is not ours to call")]
mod sni_router;

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tls_tests::openssl::{Server, alert_seen, s_client, s_server};
use tls_tests::pki::{Authority, KeyType};
use tls_tests::process::require_or_skip;
use tokio::net::TcpListener;

/// Two backends with certificates of their own behind a router.
struct World {
    router: SocketAddr,
    root: PathBuf,
    _backends: Vec<Server>,
    _directory: TempDir,
}

impl World {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let root = authority.write_root(directory.path());
        let mut backends = Vec::new();
        let mut table = sni_router::Table::new();
        for name in ["one.example", "two.example"] {
            let identity = authority.leaf(KeyType::P256, &[name]);
            let files = identity.write_to(directory.path(), name);
            let backend = s_server(&files, &["-rev", "-naccept", "10"]).await;
            table.insert(name.to_owned(), backend.address);
            backends.push(backend);
        }
        // Nobody listens there any more.
        let gone = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        table.insert("gone.example".to_owned(), gone);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let router = listener.local_addr().unwrap();
        tokio::spawn(sni_router::serve(listener, table));
        Self {
            router,
            root,
            _backends: backends,
            _directory: directory,
        }
    }
}

#[tokio::test]
async fn the_client_sees_the_certificate_of_the_backend_that_it_names() {
    if !require_or_skip("openssl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let world = World::start().await;
        let root = world.root.to_str().unwrap();
        // Names have no case.
        for (asked, name) in [("one.example", "one.example"), ("TWO.example", "two.example")] {
            let mut client = s_client(
                world.router,
                &[
                    version,
                    "-servername",
                    asked,
                    "-verify_hostname",
                    name,
                    "-verify_return_error",
                    "-CAfile",
                    root,
                ],
            );
            client.send(b"abc\n").await.unwrap();
            let text = client.wait_for("cba").await;
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
            assert!(text.contains(&format!("Verified peername: {name}")), "{text}");
            client.kill().await;
        }
    }
}

#[tokio::test]
async fn a_name_without_a_backend_is_refused() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::start().await;
    for (arguments, alert) in [
        (&["-servername", "three.example"][..], 112),
        (&["-noservername"], 112),
        (&["-servername", "gone.example"], 80),
    ] {
        let finished = s_client(world.router, arguments).finish().await;
        assert_eq!(alert_seen(&finished.text()), Some(alert), "{}", finished.text());
    }
}
