//! What is told of handshakes and streams: spans and events of `tracing`, observers, metrics; and what is told to nobody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod counted;
mod handshakes;
mod listener;

mod observer;
mod secrets;

use std::net::SocketAddr;
use std::time::Duration;

use tls_core::{ConnectionContext, ProtocolVersion};
use tls_tests::script::{Script, ScriptedIo};
use tls_tests::sides::{self, server_name};
use tls_tokio::{HandshakeFailure, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const SECOND: Duration = Duration::from_secs(1);

/// A transport that counts.
type Io = ScriptedIo<DuplexStream>;
type Made = Result<TlsStream<Io>, HandshakeFailure<Io>>;

/// Where the client says that the server is.
fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 443))
}

/// Where the server says that the client is.
fn client_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 2], 50_000))
}

/// Two ends that do as they should.
fn ends() -> (Io, Io) {
    let (ours, theirs) = duplex(64 * 1024);
    (
        ScriptedIo::new(ours, Script::new()),
        ScriptedIo::new(theirs, Script::new()),
    )
}

/// Runs a handshake of both sides, each of which knows where the other is.
async fn meet(connector: &TlsConnector, acceptor: &TlsAcceptor) -> (Made, Made) {
    let (ours, theirs) = ends();
    let to = ConnectionContext::new().with_peer_address(server_address());
    let from = ConnectionContext::new().with_peer_address(client_address());
    tokio::join!(
        connector.connect_with(server_name(), ours, to),
        acceptor.accept_with(theirs, from)
    )
}

/// The same, where nothing goes wrong.
async fn established(connector: &TlsConnector, acceptor: &TlsAcceptor) -> (TlsStream<Io>, TlsStream<Io>) {
    let (client, server) = meet(connector, acceptor).await;
    (client.unwrap(), server.unwrap())
}

/// A client of this version that remembers its sessions.
fn remembering(version: ProtocolVersion) -> TlsConnector {
    use tls_tests::versions::Only as _;
    let cache = std::sync::Arc::new(tls_tokio::MemorySessionCache::default());
    TlsConnector::new(
        sides::client_builder()
            .only(version)
            .session_cache(cache)
            .build()
            .unwrap(),
    )
}

/// A client that trusts nobody.
fn distrustful(version: ProtocolVersion) -> TlsConnector {
    use tls_tests::versions::Only as _;
    let roots = tls_tests::pair::roots();
    TlsConnector::new(
        tls_core::ClientConfig::builder()
            .only(version)
            .roots(roots)
            .build()
            .unwrap(),
    )
}

/// Five bytes each way, so that tickets have come too.
async fn greet(client: &mut TlsStream<Io>, server: &mut TlsStream<Io>) {
    server.write_all(b"hello").await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    server.read_exact(&mut [0; 5]).await.unwrap();
}
