//! What a peer presents.

use rustls_pki_types::CertificateDer;

/// A certificate chain as the peer presented it, with what was stapled to it.
///
/// Example: that of [`PeerVerifier`](crate::PeerVerifier).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PeerChain {
    /// The certificates, the end entity's first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The OCSP response for the end entity (RFC 6066 section 8), DER, not parsed.
    pub ocsp_response: Option<Vec<u8>>,
    /// The SignedCertificateTimestampList of the end entity (RFC 6962 section 3.3), not parsed.
    pub scts: Option<Vec<u8>>,
    /// The security domain of the configuration whose verifier accepted it for its connection's name, in this
    /// process: not serialised, so that what comes from outside is verified again in any case.
    accepted_in: Option<[u8; 32]>,
}

impl PeerChain {
    /// A chain without staples.
    #[must_use]
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            certificates,
            ocsp_response: None,
            scts: None,
            accepted_in: None,
        }
    }

    /// Notes that a verifier of this security domain has accepted it, for the name that it was asked about.
    pub(crate) fn set_accepted_in(&mut self, security_domain: [u8; 32]) {
        self.accepted_in = Some(security_domain);
    }

    /// Whether a verifier of this security domain accepted it before.
    pub(crate) fn was_accepted_in(&self, security_domain: &[u8; 32]) -> bool {
        self.accepted_in.as_ref() == Some(security_domain)
    }
}

/// Equal is what was presented alike.
impl PartialEq for PeerChain {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
            && self.ocsp_response == other.ocsp_response
            && self.scts == other.scts
    }
}

impl Eq for PeerChain {}
