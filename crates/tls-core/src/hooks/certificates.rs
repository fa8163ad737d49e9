//! Certificates and keys in memory, chosen by name and signature scheme.

use core::fmt;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::{Answer, CertificateQuery, CertificateResolver, ConnectionContext, PrivateKey};
use crate::alert::AlertDescription;
use crate::crypto::sign::SigningKey;
use crate::error::{CertificateError, ConfigError, HookError};
use crate::registry::SignatureScheme;
use crate::verify;

/// A certificate chain, the key of its first certificate, and what is stapled to it.
///
/// ```
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
/// use tls_core::{CertifiedKey, UnixTime};
///
/// let certificate = CertifiedKey::from_pem(&chain_pem, &key_pem)?;
/// assert_eq!(certificate.chain().len(), 1);
/// certificate.check_chain(UnixTime::now()).unwrap();
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct CertifiedKey {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn PrivateKey>,
    ocsp_response: Option<Vec<u8>>,
    scts: Option<Vec<u8>>,
}

impl CertifiedKey {
    /// Reads a chain (the end entity's certificate first, then its issuers, without the root) and its private key
    /// (PKCS#8, SEC1 or PKCS#1) from PEM.
    ///
    /// # Errors
    /// PEM without certificates or key, a key that cannot be used, or one that does not fit the certificate.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, ConfigError> {
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::new(format!("certificate PEM: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| ConfigError::new(format!("private key PEM: {error}")))?;
        Self::from_der(chain, &key)
    }

    /// The same from DER.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, ConfigError> {
        let leaf = chain
            .first()
            .ok_or_else(|| ConfigError::new("the certificate chain is empty"))?;
        let key =
            SigningKey::from_der(key).map_err(|error| ConfigError::new(format!("private key: {error}")))?;
        let spki = key
            .public_key_der()
            .map_err(|error| ConfigError::new(error.to_string()))?;
        if verify::subject_public_key_info(leaf)? != spki {
            return Err(ConfigError::new(
                "the private key does not belong to the first certificate of the chain",
            ));
        }
        Self::new(chain, Arc::new(key))
    }

    /// A chain with a key that is kept elsewhere. Whether they fit is seen when the first signature is checked.
    ///
    /// # Errors
    /// An empty chain, or a first certificate that cannot be parsed.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: Arc<dyn PrivateKey>) -> Result<Self, ConfigError> {
        let leaf = chain
            .first()
            .ok_or_else(|| ConfigError::new("the certificate chain is empty"))?;
        verify::subject_public_key_info(leaf)?;
        Ok(Self {
            chain,
            key,
            ocsp_response: None,
            scts: None,
        })
    }

    /// Staples an OCSP response (DER) to the end entity's certificate, for clients that ask (RFC 6066 section 8).
    #[must_use]
    pub fn with_ocsp_response(mut self, response: Vec<u8>) -> Self {
        self.ocsp_response = Some(response);
        self
    }

    /// Staples a SignedCertificateTimestampList (RFC 6962 section 3.3), for clients that ask.
    #[must_use]
    pub fn with_scts(mut self, scts: Vec<u8>) -> Self {
        self.scts = Some(scts);
        self
    }

    /// The chain, the end entity's certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key of the first certificate.
    #[must_use]
    pub fn key(&self) -> &dyn PrivateKey {
        &*self.key
    }

    /// Whether peers can accept the chain at this time, as far as that does not depend on their roots: the first
    /// certificate is within its validity and, where there are others, was issued by one of them.
    ///
    /// # Errors
    /// [`CertificateError::Expired`] and its kin; [`CertificateError::UnknownIssuer`] or
    /// [`CertificateError::BadSignature`] for certificates that do not belong together.
    pub fn check_chain(&self, now: UnixTime) -> Result<(), CertificateError> {
        verify::check_own_chain(&self.chain, now)
    }

    pub(crate) fn ocsp_response(&self) -> Option<&[u8]> {
        self.ocsp_response.as_deref()
    }

    pub(crate) fn scts(&self) -> Option<&[u8]> {
        self.scts.as_deref()
    }

    /// Whether one of these authorities, by their names in DER, has issued a certificate of the chain (section 4.4.2.2).
    fn is_issued_by_any(&self, authorities: &[Vec<u8>]) -> bool {
        let mut issuers = self
            .chain
            .iter()
            .filter_map(|certificate| verify::issuer(certificate));
        issuers.any(|issuer| authorities.iter().any(|authority| *authority == issuer))
    }

    /// The first of the key's schemes that the peer accepts too.
    pub(crate) fn choose_scheme(&self, theirs: &[SignatureScheme]) -> Option<SignatureScheme> {
        self.key
            .schemes()
            .iter()
            .copied()
            .find(|scheme| theirs.contains(scheme))
    }
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertifiedKey")
            .field("certificates", &self.chain.len())
            .field("key", &self.key)
            .finish()
    }
}

impl PrivateKey for SigningKey {
    fn schemes(&self) -> &[SignatureScheme] {
        Self::schemes(self)
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        Answer::Now(Self::sign(self, scheme, message).map_err(HookError::from))
    }

    fn is_self_checking(&self) -> bool {
        true
    }
}

/// A longer list is nobody's choice, and looking through it for each chain would cost more than a handshake.
const MAX_AUTHORITIES: usize = 256;

/// Chains in memory, chosen by the name the client asks for and by its signature schemes; can be replaced while
/// serving.
///
/// An exact name goes before a wildcard (which stands for one label), and both before the default: the chains in the
/// order they were given, for clients that name no server or one unknown here. [`Self::strict`] refuses those.
///
/// A peer that names the authorities it trusts (section 4.2.4; of more than 256 no notice is taken) gets the first of those
/// chains that one of them issued. If there is none, a client presents nothing, unless it has one chain alone; a server
/// presents what it would have otherwise.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, MemoryCertificates, ServerConfig};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let load = || CertifiedKey::from_pem(&chain_pem, &key_pem);
/// let certificates = Arc::new(MemoryCertificates::new([load()?]).strict());
/// let resolver = Arc::clone(&certificates);
/// let config = ServerConfig::builder().certificate_resolver(resolver).build()?;
/// // Later, while serving.
/// certificates.replace([load()?]);
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct MemoryCertificates {
    index: RwLock<Arc<Index>>,
    strict: bool,
}

#[derive(Debug, Default)]
struct Index {
    all: Vec<Arc<CertifiedKey>>,
    /// Lower case.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the wildcard's `*.`, lower case.
    by_parent: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl MemoryCertificates {
    /// Serves these chains, the first being the default.
    #[must_use]
    pub fn new(certificates: impl IntoIterator<Item = CertifiedKey>) -> Self {
        Self {
            index: RwLock::new(Arc::new(Index::new(certificates))),
            strict: false,
        }
    }

    /// Refuses clients that name no server, or one that no chain is for, with unrecognized_name. Means nothing on a client.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Replaces all chains at once. Handshakes that have already chosen theirs are not touched.
    pub fn replace(&self, certificates: impl IntoIterator<Item = CertifiedKey>) {
        let index = Arc::new(Index::new(certificates));
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    fn choose(&self, query: &CertificateQuery<'_>) -> Result<Option<Arc<CertifiedKey>>, HookError> {
        let index = Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner));
        let fits = |key: &&Arc<CertifiedKey>| key.choose_scheme(query.schemes).is_some();
        let [exact, wildcard] = query.server_name.map_or([None, None], |name| index.look_up(name));
        let is_strict = self.strict && query.client_hello.is_some();
        if exact.or(wildcard).is_none() && is_strict {
            let name = query.server_name.unwrap_or("(none)");
            let what = format!("no certificate for the server name {name:?}");
            return Err(HookError::with_alert(what, AlertDescription::UNRECOGNIZED_NAME));
        }
        let default = (!is_strict).then_some(&index.all);
        // The name decides first: what a client trusts chooses among the chains for that name only.
        let groups = [exact, wildcard, default].into_iter().flatten();
        let Some(group) = groups
            .into_iter()
            .find(|group| group.iter().any(|key| fits(&key)))
        else {
            return Ok(None);
        };
        let mut fitting = group.iter().filter(fits);
        if query.authorities.is_empty() || query.authorities.len() > MAX_AUTHORITIES {
            return Ok(fitting.next().cloned());
        }
        let first = fitting.clone().next();
        let known = fitting.find(|certified| certified.is_issued_by_any(query.authorities));
        // A server has to present something, and whoever has one certificate alone has it for all who ask.
        let fallback = first.filter(|_| query.client_hello.is_some() || index.all.len() == 1);
        Ok(known.or(fallback).cloned())
    }
}

impl Index {
    fn new(certificates: impl IntoIterator<Item = CertifiedKey>) -> Self {
        let mut index = Self::default();
        for certificate in certificates {
            let certificate = Arc::new(certificate);
            for name in certificate
                .chain
                .first()
                .map(verify::dns_names)
                .unwrap_or_default()
            {
                let name = name.to_ascii_lowercase();
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut index.by_parent, parent.to_owned()),
                    None => (&mut index.by_name, name),
                };
                names.entry(name).or_default().push(Arc::clone(&certificate));
            }
            index.all.push(certificate);
        }
        index
    }

    /// The chains for exactly this name, and those for a wildcard in place of its first label.
    fn look_up(&self, name: &str) -> [Option<&Vec<Arc<CertifiedKey>>>; 2] {
        let mut name = Cow::Borrowed(name.trim_end_matches('.'));
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        let wildcard = name
            .split_once('.')
            .and_then(|(_, parent)| self.by_parent.get(parent));
        [self.by_name.get(&*name), wildcard]
    }
}

impl CertificateResolver for MemoryCertificates {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        Answer::Now(self.choose(query))
    }
}
