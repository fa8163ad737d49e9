//! What a TLS stack has to offer to be measured.

use std::io::Write;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::identity::Identity;

/// A version of TLS, the only one offered and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// With the extended main secret required of the peer, and without resumption.
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl Version {
    /// What the name of a row says of it: TLS 1.3 goes without saying.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2 ",
            Self::Tls13 => "",
        }
    }
}

/// A cipher suite, the only one offered and accepted. In TLS 1.2 it is the one of ECDHE and the server's kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-128-GCM with SHA-256
    Aes128Gcm,
    /// AES-256-GCM with SHA-384
    Aes256Gcm,
    /// ChaCha20-Poly1305 with SHA-256
    ChaCha20Poly1305,
}

/// A key exchange group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// X25519
    X25519,
    /// X25519MLKEM768
    X25519MlKem768,
}

/// What both stacks are configured to do.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The server's chain and the client's root.
    pub identity: &'a Identity,
    /// The one version on both sides.
    pub version: Version,
    /// The one suite on both sides.
    pub suite: Suite,
    /// The groups of both sides, in order of preference. In TLS 1.3 the client sends a key share for each.
    pub groups: &'a [Group],
    /// Whether the server sends tickets (as many as it does by default) to a client that never resumes.
    pub tickets: bool,
    /// How all handshakes but the first are resumed; `None` if none is.
    pub resumption: Option<Resumption>,
}

/// A way to resume sessions. The client keeps them in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// TLS 1.3, psk_dhe_ke, with stateless tickets: each handshake, resumed ones too, brings so many new ones.
    Tickets(u8),
    /// TLS 1.2 by ticket (RFC 5077), with a server that issues no new one in a resumed handshake.
    OldTicket,
    /// TLS 1.2 by ticket, with a server that does what it does by default: rustls issues a new one each time, we
    /// never do.
    RenewedTicket,
    /// TLS 1.2 by session id, with a server that keeps the sessions in memory.
    SessionId,
}

/// One TLS implementation, configured.
pub trait Stack: Sized + 'static {
    /// A client during its handshake in memory.
    type ClientHandshake: Handshake;
    /// A server during its handshake in memory.
    type ServerHandshake: Handshake;
    /// A client's stream over TCP.
    type ClientStream: AsyncRead + AsyncWrite + Unpin;
    /// A server's stream over TCP.
    type ServerStream: AsyncRead + AsyncWrite + Unpin;

    /// Configures both sides; `None` if this stack cannot do what is asked (its rows say n/a).
    fn new(setup: &Setup<'_>) -> Option<Self>;
    /// A new client connection, for [`crate::identity::SERVER_NAME`].
    fn client(&self) -> Self::ClientHandshake;
    /// A new server connection.
    fn server(&self) -> Self::ServerHandshake;
    /// A handshake as client over TCP.
    fn connect(&self, io: TcpStream) -> impl Future<Output = Self::ClientStream>;
    /// A handshake as server over TCP.
    fn accept(&self, io: TcpStream) -> impl Future<Output = Self::ServerStream>;
}

/// One side of a handshake in memory. Everything panics if the handshake fails.
pub trait Handshake {
    /// The connection that it ends in.
    type Connection: Connection;

    /// Takes bytes from the peer and gets as far as they allow. Also called with tickets after it is done.
    fn receive(&mut self, wire: &[u8]);
    /// Appends what is to be sent to the peer, if anything. The first call of a client gives its ClientHello.
    fn transmit(&mut self, wire: &mut Vec<u8>);
    /// Whether application data can go both ways.
    fn is_done(&self) -> bool;
    /// The connection, once done.
    fn into_connection(self) -> Self::Connection;
}

/// An established connection in memory.
pub trait Connection {
    /// Encrypts all of `plaintext` and writes all records to `wire`.
    fn send(&mut self, plaintext: &[u8], wire: &mut impl Write);
    /// Takes all of `wire`, which holds whole records, and reads all plaintext of it into `buffer`, as a
    /// reader would: again and again from the buffer's start. Returns the number of bytes of plaintext.
    fn receive(&mut self, wire: &[u8], buffer: &mut [u8]) -> usize;
    /// Whether the handshake resumed a session.
    fn is_resumed(&self) -> bool;
}

/// The connection type of a stack's client.
pub type ClientConnection<S> = <<S as Stack>::ClientHandshake as Handshake>::Connection;
/// The connection type of a stack's server.
pub type ServerConnection<S> = <<S as Stack>::ServerHandshake as Handshake>::Connection;

/// Sees every call into each side of a handshake, to measure it.
pub trait Meter {
    /// Runs something of the client.
    fn client<T>(&mut self, work: impl FnOnce() -> T) -> T;
    /// Runs something of the server.
    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T;
}

/// Measures nothing.
pub struct NoMeter;

impl Meter for NoMeter {
    fn client<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }

    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// A whole handshake in memory: three calls into each side, each seen by `meter`.
pub fn handshake<S: Stack>(stack: &S, meter: &mut impl Meter) -> (ClientConnection<S>, ServerConnection<S>) {
    // Room for the largest flight, so that no side is charged for the growth of these.
    let mut to_server = Vec::with_capacity(16 * 1024);
    let mut to_client = Vec::with_capacity(16 * 1024);
    let mut client = meter.client(|| {
        let mut client = stack.client();
        client.transmit(&mut to_server);
        client
    });
    let mut server = meter.server(|| {
        let mut server = stack.server();
        server.receive(&to_server);
        server.transmit(&mut to_client);
        server
    });
    to_server.clear();
    while !to_client.is_empty() {
        meter.client(|| {
            client.receive(&to_client);
            client.transmit(&mut to_server);
        });
        to_client.clear();
        if !to_server.is_empty() {
            meter.server(|| {
                server.receive(&to_server);
                server.transmit(&mut to_client);
            });
            to_server.clear();
        }
    }
    assert!(client.is_done() && server.is_done(), "the handshake stalled");
    (
        meter.client(|| client.into_connection()),
        meter.server(|| server.into_connection()),
    )
}
