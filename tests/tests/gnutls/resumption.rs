//! Sessions of either version resumed with GnuTLS, in both roles.

use std::sync::Arc;

use tls_core::{NamedGroup, ProtocolVersion, ServerConfigBuilder};
use tls_tests::pki::KeyType;
use tls_tests::process::{LIMIT, Process, require_or_skip};
use tls_tokio::{
    CertifiedKey, MemorySessionCache, MemorySessionStore, ServerConfig, TlsAcceptor, TlsConnector,
};
use tls_tokio::{ServerName, TlsStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{NO_EXTENDED_MAIN_SECRET, World, close, echoed, ended, path, received};

const TLS12: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
const TLS12_NO_TICKETS: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_TICKETS";
const TLS13: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
const TLS13_SHA384: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM";

/// `gnutls-cli --resume` at a server of ours: a connection, and one that must be resumed. Whether each had a
/// HelloRetryRequest.
async fn gnutls_comes_twice(
    world: &World,
    priority: &str,
    configure: impl FnOnce(ServerConfigBuilder) -> ServerConfigBuilder,
) -> [bool; 2] {
    let identity = world.authority.leaf(KeyType::P256, &["localhost"]);
    let key = CertifiedKey::from_der(identity.chain(), &identity.key()).unwrap();
    let config = configure(ServerConfig::builder().certificate(key));
    let acceptor = TlsAcceptor::new(config.build().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = Process::spawn(
        "gnutls-cli",
        [
            &["--resume", "--waitresumption", "--x509cafile", path(&world.root)],
            &["--sni-hostname", "localhost", "--verify-hostname", "localhost"][..],
            &["--priority", priority, "--port", &port, "127.0.0.1"],
        ]
        .concat(),
    );
    let mut retried = [false; 2];
    for resumed in [false, true] {
        let (tcp, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut stream = Box::pin(acceptor.accept(tcp)).await.unwrap();
        assert_eq!(
            stream.info().is_resumed(),
            resumed,
            "{priority}: {}",
            client.text()
        );
        retried[usize::from(resumed)] = stream.info().had_hello_retry_request();
        if resumed {
            client.send(b"a line\n").await.unwrap();
            received(&mut stream, b"a line\n").await;
            client.close_stdin();
        }
        ended(&mut stream).await;
        close(&mut stream).await;
    }
    let finished = client.finish().await;
    let text = finished.text();
    assert!(finished.status.success(), "{text}");
    assert!(text.contains("This is a resumed session"), "{text}");
    retried
}

fn with_store(server: ServerConfigBuilder) -> ServerConfigBuilder {
    server.session_store(Arc::new(MemorySessionStore::new(10)))
}

#[tokio::test]
async fn gnutls_resumes_tls12_at_our_server_with_and_without_extended_main_secret() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    let world = World::new();
    for (stateful, priority) in [
        (false, TLS12),
        (false, NO_EXTENDED_MAIN_SECRET),
        (true, NO_EXTENDED_MAIN_SECRET),
        (true, TLS12_NO_TICKETS),
    ] {
        let configure = |server: ServerConfigBuilder| {
            let server = server.allow_missing_extended_main_secret();
            if stateful { with_store(server) } else { server }
        };
        gnutls_comes_twice(&world, priority, configure).await;
    }
}

#[tokio::test]
async fn gnutls_resumes_tls13_at_our_server_by_ticket_and_by_store_and_after_a_retry() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    let world = World::new();
    for priority in [TLS13, TLS13_SHA384] {
        for stateful in [false, true] {
            // It sends key shares for X25519 and secp256r1.
            for (group, retries) in [(NamedGroup::X25519, false), (NamedGroup::SECP384R1, true)] {
                let configure = |server: ServerConfigBuilder| {
                    let server = server.groups([group]);
                    if stateful { with_store(server) } else { server }
                };
                let retried = Box::pin(gnutls_comes_twice(&world, priority, configure)).await;
                assert_eq!(retried, [retries; 2], "{priority} {group}");
            }
        }
    }
}

/// Four connections to `gnutls-serv` with one cache: all but the first are resumed.
async fn we_come_again(world: &World, version: ProtocolVersion, priority: &str, retries: bool) {
    let (server, address) = world.gnutls_serv(KeyType::P256, priority).await;
    let config = world
        .client()
        .key_shares([NamedGroup::X25519])
        .session_cache(Arc::new(MemorySessionCache::new(1)))
        .build()
        .unwrap();
    for round in 0..4 {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = Box::pin(TlsConnector::new(config.clone()).connect(name, tcp)).await;
        let mut stream: TlsStream<_> = connected.unwrap();
        echoed(&mut stream, b"a line\n").await;
        let info = stream.info();
        assert_eq!(info.version(), version);
        assert_eq!(info.is_resumed(), round > 0, "{priority}, {round}");
        assert_eq!(info.had_hello_retry_request(), retries, "{priority}, {round}");
        close(&mut stream).await;
    }
    server.kill().await;
}

#[tokio::test]
async fn our_client_resumes_tls12_at_gnutls() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let world = World::new();
    for priority in [TLS12, TLS12_NO_TICKETS] {
        we_come_again(&world, ProtocolVersion::TLS12, priority, false).await;
    }
}

#[tokio::test]
async fn our_client_resumes_tls13_at_gnutls_also_after_a_retry() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let world = World::new();
    for priority in [TLS13, TLS13_SHA384] {
        we_come_again(&world, ProtocolVersion::TLS13, priority, false).await;
        let other_group = format!("{priority}:-GROUP-ALL:+GROUP-SECP384R1");
        we_come_again(&world, ProtocolVersion::TLS13, &other_group, true).await;
    }
}
