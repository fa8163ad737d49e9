//! What a peer presents.

use rustls_pki_types::CertificateDer;

/// A certificate chain as the peer presented it, with what was stapled to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerChain {
    /// The certificates, the end entity's first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The OCSP response for the end entity (RFC 6066 section 8), DER, not parsed.
    pub ocsp_response: Option<Vec<u8>>,
    /// The SignedCertificateTimestampList of the end entity (RFC 6962 section 3.3), not parsed.
    pub scts: Option<Vec<u8>>,
}

impl PeerChain {
    /// A chain without staples.
    #[must_use]
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            certificates,
            ocsp_response: None,
            scts: None,
        }
    }
}
