//! Trust anchors.

use core::fmt;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::der;
use crate::crypto::hash::sha256;
use crate::error::ConfigError;

/// The roots that certificate paths must lead to.
///
/// ```
/// use tls_core::RootStore;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let mut roots = RootStore::empty();
/// assert_eq!(roots.add_pem(&chain_pem)?, 1);
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct RootStore {
    anchors: Vec<TrustAnchor<'static>>,
}

impl RootStore {
    /// No roots: every chain is refused until some are added.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The roots in this PEM.
    ///
    /// # Errors
    /// PEM that cannot be read, or has no certificate in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ConfigError> {
        let mut roots = Self::empty();
        roots.add_pem(pem)?;
        Ok(roots)
    }

    /// The platform's roots. Reads files and blocks for 5-40 ms: do it once, off the runtime's threads.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured. Certificates that cannot be parsed are passed over.
    ///
    /// # Errors
    /// Not a single root could be loaded.
    #[cfg(feature = "native-roots")]
    pub fn native() -> Result<Self, ConfigError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = Self::empty();
        for certificate in &loaded.certs {
            if let Err(error) = roots.add_der(certificate) {
                tracing::debug!(%error, "passed over a root of the platform");
            }
        }
        if roots.is_empty() {
            let why = loaded
                .errors
                .first()
                .map_or_else(|| "none found".into(), ToString::to_string);
            return Err(ConfigError::new(format!("no roots on this platform: {why}")));
        }
        Ok(roots)
    }

    /// Mozilla's roots as compiled into this program. They age with it.
    #[cfg(feature = "bundled-roots")]
    #[must_use]
    pub fn bundled() -> Self {
        Self {
            anchors: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }
    }

    /// Adds one root.
    ///
    /// # Errors
    /// A certificate that cannot be parsed.
    pub fn add_der(&mut self, certificate: &CertificateDer<'_>) -> Result<(), ConfigError> {
        let anchor = webpki::anchor_from_trusted_cert(certificate)
            .map_err(|error| ConfigError::new(format!("root certificate: {error}")))?;
        self.anchors.push(anchor.to_owned());
        Ok(())
    }

    /// Adds all certificates in this PEM, and says how many.
    ///
    /// # Errors
    /// PEM that cannot be read, or has no certificate in it.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<usize, ConfigError> {
        let before = self.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.add_der(&certificate.map_err(|error| ConfigError::new(format!("root PEM: {error}")))?)?;
        }
        match self.len().saturating_sub(before) {
            0 => Err(ConfigError::new("no certificate in the root PEM")),
            added => Ok(added),
        }
    }

    /// How many roots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// A digest of names, keys and constraints of all roots, whatever their order.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut anchors: Vec<_> = self.anchors.iter().map(anchor_digest).collect();
        anchors.sort_unstable();
        sha256(&anchors.concat())
    }

    /// The subjects, as DER names.
    pub(crate) fn subjects(&self) -> impl ExactSizeIterator<Item = Vec<u8>> {
        // webpki has them without tag and length.
        self.anchors.iter().map(|anchor| der::sequence(&anchor.subject))
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

fn anchor_digest(anchor: &TrustAnchor<'_>) -> [u8; 32] {
    let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
    let digests = [
        &anchor.subject[..],
        &anchor.subject_public_key_info[..],
        constraints,
    ]
    .map(sha256);
    sha256(&digests.concat())
}

impl fmt::Debug for RootStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootStore({} roots)", self.anchors.len())
    }
}
