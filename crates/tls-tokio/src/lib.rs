//! TLS for Tokio: [`TlsConnector`] and [`TlsAcceptor`] turn any stream into a [`TlsStream`].
//!
//! - Each handshake has one deadline, 10 seconds by default, which covers everything it may wait for: the peer, and
//!   every hook of [`tls_core`]. When it passes the error says what was being waited for.
//! - A handshake that fails sends its alert and sees to it that it arrives; the failure carries the transport.
//! - A close is never ambiguous: the peer's close_notify is the end of file, a transport that ends without one is an
//!   error, and [`TlsStream::graceful_shutdown`] says how the connection ended. A stream that is dropped open still
//!   says goodbye if that takes no waiting.
//! - [`TlsListener`] runs the handshakes of a server beside its accept loop, within limits, and drains it at the end.
//! - An idle connection holds no buffers.
//! - Sessions are kept in memory by [`MemorySessionCache`] on a client and [`MemorySessionStore`] on a server.
//! - Certificates, keys and trust come from files that may be replaced while serving: [`ReloadingCertificates`],
//!   [`ReloadingVerifier`]. A key that blocks while it signs is a [`BlockingKey`].
//!
//! What happens is told to an [`Observer`], which may be a `MetricsObserver` (feature `metrics`), and by `tracing`, at level
//! DEBUG:
//!
//! | target | what | fields |
//! | --- | --- | --- |
//! | `tls_tokio::handshake` | span `tls_handshake`, one per handshake | `connection` (its number in this process), `side`, `peer`, `server_name`; at the end `outcome` (`established` or a [`Reason::name`]), `version`, `cipher_suite`, `group`, `resumed`, `early_data`, `error`, `alert_sent`, `alert_received`, `elapsed`, `bytes_in` and `bytes_out` (as on the wire) |
//! | `tls_core::hook` | span `hook` within it, while a hook that does not answer at once is waited for | `hook` |
//! | `tls_tokio::stream` | event `a TLS stream ended`, one per stream, when it is dropped | `connection`, `side`, `peer`, `server_name`, `how` (an [`EndKind::name`]), `alert`, `close_notify_sent`, `close_notify_received`, `bytes_in` and `bytes_out` (of data), `duration` |
//!
//! A field that does not apply is left out. `peer` is what the caller said of it in the [`ConnectionContext`]. Nothing secret
//! is told, at no level. Where nobody listens this costs nothing but a look at whether somebody does, per handshake.
//!
//! A runtime with timers is needed ([`tokio::runtime::Builder::enable_time`]) wherever a handshake has a deadline,
//! for shutdown, and for writes that meet a reset.
//!
//! Where to begin: [`guide`], one page per subject, with examples. What most programs name is re-exported here; hooks, their
//! built-in implementations, and the details of errors are in [`tls_core`].
//!
//! Handshakes are not cancel safe: dropping one closes its transport. What is called on an established stream is, and
//! goes on where it was when it is called again.
#![warn(missing_debug_implementations)]

mod acceptor;
mod blocking_key;
mod connector;
mod early;
mod error;
pub mod guide;
mod handshake;
mod info;
mod link;
mod listener;
#[cfg(feature = "metrics")]
mod meter;
mod observer;
mod outgoing;
mod pending;
mod plain_http;
mod reload;
mod reset;
mod session_cache;
mod session_keeper;
mod shutdown;
mod split;
mod stream;
mod transfer;
mod watch;

pub use acceptor::TlsAcceptor;
pub use blocking_key::{BlockingKey, SignBlocking};
pub use connector::TlsConnector;
pub use early::EarlyTlsStream;
pub use error::{Error, HandshakeFailure, HandshakeTimeout};
pub use handshake::DEFAULT_HANDSHAKE_TIMEOUT;
pub use info::TlsInfo;
pub use listener::{
    Accepted, Counts, DEFAULT_FIRST_BYTE_TIMEOUT, DEFAULT_MAX_HANDSHAKES, DEFAULT_MAX_WAITING, Drained,
    Failures, Listen, ListenerHandle, StreamGuard, TimedOut, TlsListener, WhenFull,
};
#[cfg(feature = "metrics")]
pub use meter::MetricsObserver;
pub use observer::{EndKind, HandshakeFailed, HandshakeFinished, Observed, Observer, Reason, StreamEnd};
pub use pending::PendingAccept;
pub use plain_http::PlainHttpAnswer;
pub use reload::{
    Reload, ReloadingCertificates, ReloadingCertificatesBuilder, ReloadingVerifier, ReloadingVerifierBuilder,
};
pub use session_cache::{MemorySessionCache, MemorySessionStore};
pub use shutdown::{DEFAULT_SHUTDOWN_TIMEOUT, Shutdown};
pub use split::{ReadHalf, ReuniteError, SplitTransport, WriteHalf};
pub use stream::TlsStream;
pub use tls_core;
pub use tls_core::{
    AlertDescription, CertificateDer, CertifiedKey, CipherSuite, ClientAuth, ClientConfig, ClientHello,
    ConfigError, ConnectionContext, EarlyData, NamedGroup, PrivateKeyDer, ProtocolVersion, RevocationLists,
    RootStore, ServerConfig, ServerName, SignatureScheme, WebPkiVerifier,
};
pub use transfer::EofPolicy;
