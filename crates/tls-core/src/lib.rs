//! TLS without IO.
mod alert;
mod config;
mod connection;
mod crypto;
mod drive;
mod error;
mod handshake;
mod hooks;
mod key_schedule;
mod key_schedule12;
mod messages;
mod negotiated;
mod peer;
mod record;
mod registry;
mod session;
#[cfg(test)]
mod test_vectors;
mod ticket;
mod transcript;
mod verify;
mod wire;

pub use alert::AlertDescription;
pub use config::{ClientConfig, ClientConfigBuilder, ConfigSelector, ServerConfig, ServerConfigBuilder};
pub use connection::{Connection, Control, ReadEvent, Reader, Writer};
pub use crypto::sign::{KeyError, SigningKey};
pub use drive::{Driver, Progress};
pub use error::{
    BadBytes, CertificateError, ConfigError, Error, ErrorKind, HookError, Misbehaviour, Misuse,
    NothingInCommon, Phase, Problem, Side,
};
pub use handshake::{accept, connect};
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
pub use verify::RootStore;
pub use zeroize::Zeroizing;
