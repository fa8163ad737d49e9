//! TLS 1.3 and 1.2 without IO and without a runtime.
//!
//! Most programs want `tls-tokio`, which puts this on Tokio's streams and re-exports what they need. This crate is for
//! other runtimes, for tests, and for programs without a runtime.
//!
//! - A configuration is built once: [`ClientConfig::builder`], [`ServerConfig::builder`].
//! - A handshake is one future: [`connect`] or [`accept`], on a [`Peer`] over any [`Link`]. It awaits the peer's
//!   messages, room to write, and the hooks; whoever polls it brings the deadline. [`Driver`] polls it for callers that
//!   move bytes themselves. A server that wants to see the [`ClientHello`] before it decides anything begins with
//!   [`read_client_hello`].
//! - What remains is a [`Connection`]: a [`Reader`] and a [`Writer`], plain synchronous code that shares no lock.
//! - Everything that may have to wait is a hook that answers now or later, by an [`Answer`]: [`ConfigSelector`],
//!   [`CertificateResolver`], [`PrivateKey`], [`PeerVerifier`], [`ClientSessionCache`], [`ServerSessionStore`],
//!   [`TicketKeys`], [`ReplayGuard`].
//! - Early data (0-RTT) has its own entrances: [`connect_early`] and [`accept_early`], with an [`EarlyConnection`].
//! - An [`Error`] says whose fault it is ([`ErrorKind`]), where it happened ([`Phase`]), and which alert the peer is
//!   sent.
//!
//! Section numbers without an RFC are those of TLS 1.3 (RFC 8446, renumbered slightly by RFC 9846).
#![warn(missing_debug_implementations)]

mod alert;
mod config;
mod connection;
mod crypto;
mod drive;
mod error;
mod handshake;
mod hello_data;
mod hooks;
mod key_schedule;
mod key_schedule12;
mod messages;
mod negotiated;
mod peer;
#[cfg(test)]
mod properties;
mod record;
mod registry;
mod session;
mod tamper;
#[cfg(test)]
mod test_vectors;
mod ticket;
mod transcript;
mod verify;
mod wire;

/// Records everything random that a connection uses, private keys among it, and replays it. For tests of recorded
/// connections, and only there with debug assertions: a release build does not have this module.
#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
pub mod dangerous_recorded_crypto {
    pub use crate::crypto::tape::{TapeEntry, record, replay};
}

/// What is inside, for fuzzers: messages of any type, what a server remembers, and a side that says something else than
/// it means. Where [`dangerous_recorded_crypto`] is, and nowhere else.
#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
pub mod fuzzing;

pub use alert::AlertDescription;
pub use config::{
    ClientAuth, ClientConfig, ClientConfigBuilder, ConfigSelector, ServerConfig, ServerConfigBuilder,
};
pub use connection::{Connection, ConnectionFacts, Control, ReadEvent, Reader, Writer};
pub use crypto::sign::{KeyError, SigningKey};
pub use drive::{Driver, Progress};
pub use error::{
    BadBytes, CertificateError, ConfigError, Error, ErrorKind, HookError, Misbehaviour, Misuse,
    NothingInCommon, Phase, Problem, Side,
};
pub use handshake::{
    EarlyConnection, PendingAccept, Unfinished, accept, accept_early, connect, connect_early,
    read_client_hello,
};
pub use hooks::{
    AcceptAnyCertificate, Answer, CertificateQuery, CertificateResolver, CertifiedKey, ClientSessionCache,
    ConnectionContext, ExpectedPeer, KeyLog, KeyLogFile, MemoryCertificates, MemoryReplayGuard,
    NoReplayGuard, NoSessions, PeerChain, PeerVerified, PeerVerifier, PinnedCertificate, PrivateKey,
    ReplayGuard, RotatingTicketKeys, ServerSessionStore, SessionKey, StoreKey, StorePurpose, StoredSession,
    TicketKey, TicketKeys, VerifyRequest, WebPkiVerifier,
};
pub use messages::client_hello::ClientHello;
pub use negotiated::{EarlyData, Negotiated};
pub use peer::{Link, Peer};
pub use record::Padding;
pub use registry::{
    CipherSuite, ContentType, ExtensionType, HandshakeType, KeyUpdateRequest, NamedGroup, ProtocolVersion,
    PskKeyExchangeMode, SignatureScheme, is_grease,
};
pub use rustls_pki_types as pki_types;
pub use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
pub use session::ClientSession;
pub use verify::{CertificateNames, RevocationLists, RootStore};
pub use zeroize::Zeroizing;
