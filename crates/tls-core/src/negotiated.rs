//! What a handshake agreed on.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::hooks::PeerChain;
use crate::registry::{CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme};
use crate::verify::CertificateNames;

/// What became of early data (0-RTT, section 2.3).
///
/// ```
/// use tls_core::{EarlyData, Negotiated};
///
/// /// Whether what was sent early has to be sent again.
/// fn must_repeat(negotiated: &Negotiated) -> bool {
///     negotiated.early_data() == EarlyData::Rejected
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EarlyData {
    /// None was offered.
    NotOffered,
    /// It was offered and refused: the server has not seen any of it.
    Rejected,
    /// It was offered and accepted.
    Accepted,
}

/// What a handshake agreed on, and with whom. Shared by the two halves of a connection.
///
/// ```
/// use tls_core::Negotiated;
///
/// fn describe(negotiated: &Negotiated) -> String {
///     let kind = if negotiated.is_resumed() { "resumed" } else { "full" };
///     let protocol = negotiated.alpn().map(String::from_utf8_lossy).unwrap_or_default();
///     format!("{} {} {kind} {protocol}", negotiated.version(), negotiated.cipher_suite())
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Negotiated {
    pub(crate) version: ProtocolVersion,
    pub(crate) cipher_suite: CipherSuite,
    pub(crate) group: Option<NamedGroup>,
    pub(crate) signature_scheme: Option<SignatureScheme>,
    pub(crate) peer_signature_scheme: Option<SignatureScheme>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    pub(crate) resumed: bool,
    pub(crate) peer_chain: Option<Arc<PeerChain>>,
    pub(crate) retried: bool,
    pub(crate) early_data: EarlyData,
}

impl Negotiated {
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self {
            version: ProtocolVersion::TLS13,
            cipher_suite: CipherSuite::TLS_AES_128_GCM_SHA256,
            group: Some(NamedGroup::X25519),
            signature_scheme: None,
            peer_signature_scheme: None,
            alpn: None,
            server_name: None,
            resumed: false,
            peer_chain: None,
            retried: false,
            early_data: EarlyData::NotOffered,
        }
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The cipher suite.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// The group of the key exchange; `None` where a session of TLS 1.2 was resumed, which has none.
    #[must_use]
    pub fn group(&self) -> Option<NamedGroup> {
        self.group
    }

    /// The scheme of the server's signature over the handshake; `None` where a session was resumed.
    #[must_use]
    pub fn signature_scheme(&self) -> Option<SignatureScheme> {
        self.signature_scheme
    }

    /// The scheme of the peer's signature over the handshake: on a client that of the server; on a server that of the
    /// client, `None` where it presented no certificate. `None` where a session was resumed.
    #[must_use]
    pub fn peer_signature_scheme(&self) -> Option<SignatureScheme> {
        self.peer_signature_scheme
    }

    /// The application protocol (RFC 7301), if one was negotiated.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The name that the client asked for (RFC 6066 section 3), if it named one.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The certificates that the peer presented, the end entity's first; empty where it presented none.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.peer_chain.as_ref().map_or(&[], |chain| &chain.certificates)
    }

    /// The peer's chain with what was stapled to it.
    #[must_use]
    pub fn peer_chain(&self) -> Option<&PeerChain> {
        self.peer_chain.as_deref()
    }

    /// The names in the peer's certificate: its subject alternative names, and the common name for people to read. `None`
    /// where it presented none, or one that cannot be read. On a resumed connection those of the handshake that began it.
    #[must_use]
    pub fn peer_names(&self) -> Option<CertificateNames> {
        self.peer_chain.as_ref()?.names()
    }

    /// Whether an earlier session was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether the server asked for a second ClientHello (section 4.1.4).
    #[must_use]
    pub fn had_hello_retry_request(&self) -> bool {
        self.retried
    }

    /// What became of early data.
    #[must_use]
    pub fn early_data(&self) -> EarlyData {
        self.early_data
    }
}
