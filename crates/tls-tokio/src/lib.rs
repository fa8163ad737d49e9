//! TLS for Tokio: [`TlsConnector`] and [`TlsAcceptor`] turn any stream into a [`TlsStream`].
//!
//! - Each handshake has one deadline, 10 seconds by default, which covers everything it may wait for: the peer, and
//!   every hook of [`tls_core`]. When it passes the error says what was being waited for.
//! - A handshake that fails sends its alert and sees to it that it arrives; the failure carries the transport.
//! - A close is never ambiguous: the peer's close_notify is the end of file, a transport that ends without one is an
//!   error, and [`TlsStream::graceful_shutdown`] says how the connection ended. A stream that is dropped open still
//!   says goodbye if that takes no waiting.
//! - An idle connection holds no buffers.
//! - Sessions are kept in memory by [`MemorySessionCache`] on a client and [`MemorySessionStore`] on a server.
//!
//! A runtime with timers is needed ([`tokio::runtime::Builder::enable_time`]) wherever a handshake has a deadline,
//! for shutdown, and for writes that meet a reset.
//!
//! Handshakes are not cancel safe: dropping one closes its transport. What is called on an established stream is, and
//! goes on where it was when it is called again.

mod acceptor;
mod connector;
mod early;
mod error;
mod handshake;
mod info;
mod link;
mod outgoing;
mod plain_http;
mod reset;
mod session_cache;
mod session_keeper;
mod shutdown;
mod split;
mod stream;
mod transfer;

pub use acceptor::TlsAcceptor;
pub use connector::TlsConnector;
pub use early::EarlyTlsStream;
pub use error::{Error, HandshakeFailure, HandshakeTimeout};
pub use handshake::DEFAULT_HANDSHAKE_TIMEOUT;
pub use info::TlsInfo;
pub use plain_http::PlainHttpAnswer;
pub use session_cache::{MemorySessionCache, MemorySessionStore};
pub use shutdown::{DEFAULT_SHUTDOWN_TIMEOUT, Shutdown};
pub use split::{ReadHalf, ReuniteError, SplitTransport, WriteHalf};
pub use stream::TlsStream;
pub use tls_core;
pub use tls_core::{
    CertificateDer, CertifiedKey, CipherSuite, ClientAuth, ClientConfig, ConfigError, ConnectionContext,
    EarlyData, NamedGroup, PrivateKeyDer, ProtocolVersion, RevocationLists, RootStore, ServerConfig,
    ServerName, SignatureScheme, WebPkiVerifier,
};
pub use transfer::EofPolicy;
