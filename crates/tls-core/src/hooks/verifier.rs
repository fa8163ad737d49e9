//! The verifiers that come with the library.

use core::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{Answer, ConnectionContext, ExpectedPeer, PeerVerified, PeerVerifier, VerifyRequest};
use crate::crypto::hash::sha256;
use crate::error::CertificateError;
use crate::verify::{self, RevocationLists, RootStore};

/// Verifies chains with webpki (RFC 5280) against trusted roots, and the server's name against the leaf's subject
/// alternative names (RFC 9525; never the common name).
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, ClientAuth, RootStore, ServerConfig, WebPkiVerifier};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let verifier = WebPkiVerifier::new(RootStore::from_pem(&chain_pem)?);
/// let config = ServerConfig::builder()
///     .certificate(CertifiedKey::from_pem(&chain_pem, &key_pem)?)
///     .client_auth(ClientAuth::requested(Arc::new(verifier)))
///     .build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct WebPkiVerifier {
    roots: Arc<RootStore>,
    revocation: Option<Arc<RevocationLists>>,
}

impl WebPkiVerifier {
    /// Trusts these roots.
    #[must_use]
    pub fn new(roots: impl Into<Arc<RootStore>>) -> Self {
        Self {
            roots: roots.into(),
            revocation: None,
        }
    }

    /// Refuses what these lists revoke, and what they do not know. Default: revocation is not looked at.
    #[must_use]
    pub fn revocation_lists(mut self, lists: impl Into<Arc<RevocationLists>>) -> Self {
        self.revocation = Some(lists.into());
        self
    }
}

impl fmt::Debug for WebPkiVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPkiVerifier")
            .field("roots", &self.roots.len())
            .field("revocation", &self.revocation)
            .finish()
    }
}

impl PeerVerifier for WebPkiVerifier {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        let certificates = &request.chain.certificates;
        let (roots, revocation) = (&self.roots, self.revocation.as_deref());
        let verified = match request.expected {
            ExpectedPeer::Server(name) => {
                verify::verify_server(certificates, roots, revocation, name, request.now)
            }
            ExpectedPeer::Client => verify::verify_client(certificates, roots, revocation, request.now),
        };
        Answer::Now(verified.map(|()| PeerVerified::assertion()))
    }

    /// Of all that [`Self::verify`] depends on only the time is another one. Revocation lists have times of their own:
    /// with them every chain is verified again.
    fn still_accepts(&self, request: &VerifyRequest<'_>) -> bool {
        self.revocation.is_none() && verify::are_all_valid(&request.chain.certificates, request.now)
    }

    fn security_domain(&self) -> Option<[u8; 32]> {
        let roots = self.roots.digest();
        Some(match &self.revocation {
            Some(lists) => sha256(&[roots, lists.digest()].concat()),
            None => roots,
        })
    }

    fn authorities(&self) -> Vec<Vec<u8>> {
        self.roots.subjects().collect()
    }
}

/// Accepts exactly one end-entity certificate, whatever its names, dates and issuer.
///
/// The peer still has to prove that it holds the key. Nothing but replacing the pin revokes it.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{ClientConfig, PinnedCertificate};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let certificate = made.cert.der().clone();
/// let verifier = PinnedCertificate::new(certificate);
/// let config = ClientConfig::builder().verifier(Arc::new(verifier)).build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PinnedCertificate {
    certificate: CertificateDer<'static>,
}

impl PinnedCertificate {
    /// Accepts this certificate only.
    #[must_use]
    pub fn new(certificate: CertificateDer<'static>) -> Self {
        Self { certificate }
    }
}

impl PeerVerifier for PinnedCertificate {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        Answer::Now(match request.chain.certificates.first() {
            Some(leaf) if *leaf == self.certificate => Ok(PeerVerified::assertion()),
            _ => Err(CertificateError::Policy(
                "it is not the pinned certificate".into(),
            )),
        })
    }
}

/// Accepts any chain: encryption without knowing with whom. For tests and diagnosis only.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{AcceptAnyCertificate, ClientConfig};
///
/// // The same as `dangerously_accept_any_certificate()`.
/// let config = ClientConfig::builder().verifier(Arc::new(AcceptAnyCertificate)).build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptAnyCertificate;

impl PeerVerifier for AcceptAnyCertificate {
    fn verify<'a>(
        &'a self,
        _: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        Answer::Now(Ok(PeerVerified::assertion()))
    }
}
