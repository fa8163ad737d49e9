//! `TlsListener`: handshakes beside the accept loop, limits, failures, and the end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod accepting;
mod draining;
mod handshakes;
mod limits;
mod load;
mod sockets;

use std::net::SocketAddr;
use std::time::Duration;

use tls_core::ProtocolVersion;
use tls_tests::dial::{Dialer, ServerEnd, Source, dial};
use tls_tests::sides::{Role, acceptor, connector, server_name};
use tls_tokio::{Accepted, Counts, HandshakeFailure, ListenerHandle, TlsListener, TlsStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// An address; tests to which it does not matter use this one.
const SOMEBODY: &str = "192.0.2.1:1000";

/// The time limit of handshakes in these tests, which differs from all others.
const HANDSHAKE: Duration = Duration::from_secs(7);

type Stream = Accepted<TlsStream<ServerEnd>, SocketAddr>;
type Client = Result<TlsStream<DuplexStream>, HandshakeFailure<DuplexStream>>;

/// A listener in memory with its defaults but for the handshake's limit.
fn listener() -> (Dialer, TlsListener<Source>) {
    let (dialer, source) = dial();
    (
        dialer,
        TlsListener::new(source, acceptor().handshake_timeout(Some(HANDSHAKE))),
    )
}

/// Accepts in a task of its own; the streams come out here. The task ends with the listener.
fn run<S: Send + 'static>(
    mut listener: TlsListener<Source, S>,
) -> (ListenerHandle, UnboundedReceiver<Accepted<S, SocketAddr>>) {
    let (streams, accepted) = unbounded_channel();
    let handle = listener.handle();
    tokio::spawn(async move {
        while let Some(stream) = listener.accept().await {
            let _ = streams.send(stream);
        }
    });
    (handle, accepted)
}

/// A handshake as client on this transport, in a task of its own.
fn greet(io: DuplexStream) -> JoinHandle<Client> {
    tokio::spawn(async move {
        connector(ProtocolVersion::TLS13)
            .handshake_timeout(None)
            .connect(server_name(), io)
            .await
    })
}

/// A client that does everything right.
fn client(dialer: &Dialer, address: &str) -> JoinHandle<Client> {
    greet(dialer.connect(address).expect("somebody listens"))
}

/// The bytes of a ClientHello.
async fn client_hello() -> Vec<u8> {
    let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
    let task = tokio::spawn(async move {
        let _ = Role::client(ProtocolVersion::TLS13).handshake(ours, None).await;
    });
    let mut hello = vec![0; 5];
    theirs.read_exact(&mut hello).await.unwrap();
    let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
    hello.resize(5 + length, 0);
    theirs.read_exact(&mut hello[5..]).await.unwrap();
    task.abort();
    hello
}

/// A client that says half of its ClientHello.
async fn half_a_hello(dialer: &Dialer, address: &str) -> DuplexStream {
    let hello = client_hello().await;
    let mut io = dialer.connect(address).expect("somebody listens");
    io.write_all(&hello[..hello.len() / 2]).await.unwrap();
    io
}

/// Waits until nobody has anything left to do but to wait.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Whether the other side has closed this transport by now.
async fn is_closed(io: &mut DuplexStream) -> bool {
    let mut rest = Vec::new();
    let read = io.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_millis(1), read).await.is_ok()
}

/// Each accepted connection is in one place.
fn assert_adds_up(counts: &Counts) {
    let sum = counts.refused
        + counts.shed
        + counts.waiting
        + counts.handshaking
        + counts.established
        + counts.failed.total()
        + counts.timed_out.total()
        + counts.stopped;
    assert_eq!(counts.accepted, sum, "{counts:?}");
}
