//! Certificate revocation lists (RFC 5280 section 5).

use core::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::der;
use crate::crypto::hash::sha256;
use crate::error::ConfigError;

/// Certificate revocation lists, and how strictly they are taken. Complete lists are understood; delta lists and
/// indirect ones are not.
///
/// Defaults: every certificate of a path but the root is looked up; one whose issuer has no list here is refused, and
/// so is a list past its `nextUpdate`. Of several lists of one issuer the newest counts (by `thisUpdate`, then by
/// `cRLNumber`), in whatever order they are given. A new list means a new verifier: nothing is fetched.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{ClientConfig, ConfigError, RevocationLists, RootStore, WebPkiVerifier};
///
/// fn configuration(roots: RootStore, crl_pem: &[u8]) -> Result<ClientConfig, ConfigError> {
///     let lists = RevocationLists::from_pem(crl_pem)?.end_entity_only();
///     let verifier = WebPkiVerifier::new(roots).revocation_lists(lists);
///     ClientConfig::builder().verifier(Arc::new(verifier)).build()
/// }
/// ```
#[derive(Clone)]
pub struct RevocationLists {
    lists: Arc<[CertRevocationList<'static>]>,
    digests: Vec<[u8; 32]>,
    end_entity_only: bool,
    allow_unknown: bool,
    allow_expired: bool,
}

impl RevocationLists {
    /// The lists in this PEM (`X509 CRL`).
    ///
    /// # Errors
    /// PEM that cannot be read, or has no list in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ConfigError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::new(format!("CRL PEM: {error}")))?;
        Self::from_der(&lists)
    }

    /// These lists, DER.
    ///
    /// # Errors
    /// None at all, or one that cannot be parsed.
    pub fn from_der(lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, ConfigError> {
        if lists.is_empty() {
            return Err(ConfigError::new("no certificate revocation list"));
        }
        let unusable =
            |why: &dyn fmt::Display| ConfigError::new(format!("certificate revocation list: {why}"));
        // webpki asks the first list that is authoritative for a certificate, and no other: so the newest goes first.
        let mut newest_first = Vec::with_capacity(lists.len());
        for list in lists {
            let age = der::issue_of_list(list).ok_or_else(|| unusable(&"it cannot be read"))?;
            newest_first.push((age, list));
        }
        newest_first.sort_by(|(one, one_der), (other, other_der)| {
            other
                .cmp(one)
                .then_with(|| other_der.as_ref().cmp(one_der.as_ref()))
        });
        // Indexed once: a look-up in the borrowed form would walk the whole list.
        let indexed = newest_first.iter().map(|(_, der)| {
            OwnedCertRevocationList::from_der(der)
                .map(CertRevocationList::from)
                .map_err(|error| unusable(&error))
        });
        Ok(Self {
            lists: indexed.collect::<Result<_, _>>()?,
            digests: lists.iter().map(|der| sha256(der)).collect(),
            end_entity_only: false,
            allow_unknown: false,
            allow_expired: false,
        })
    }

    /// Looks up the end entity's certificate alone, and not those of intermediates.
    #[must_use]
    pub fn end_entity_only(mut self) -> Self {
        self.end_entity_only = true;
        self
    }

    /// Accepts certificates whose issuer has no list here: whoever keeps a list from us is then believed.
    #[must_use]
    pub fn allow_unknown(mut self) -> Self {
        self.allow_unknown = true;
        self
    }

    /// Goes on using lists past their `nextUpdate`: what was revoked since is then accepted.
    #[must_use]
    pub fn allow_expired(mut self) -> Self {
        self.allow_expired = true;
        self
    }

    /// How many lists there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// A digest of the lists, in any order, and of how they are taken.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digests = self.digests.clone();
        digests.sort_unstable();
        let policy = [self.end_entity_only, self.allow_unknown, self.allow_expired].map(u8::from);
        sha256(&[digests.as_flattened(), &policy].concat())
    }

    /// Runs a verification with these lists. `None` only if there are none, which cannot be.
    pub(super) fn with_options<T>(
        &self,
        verify: impl FnOnce(webpki::RevocationOptions<'_>) -> T,
    ) -> Option<T> {
        let lists: Vec<_> = self.lists.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists)
            .ok()?
            .with_depth(match self.end_entity_only {
                true => RevocationCheckDepth::EndEntity,
                false => RevocationCheckDepth::Chain,
            })
            .with_status_policy(match self.allow_unknown {
                true => UnknownStatusPolicy::Allow,
                false => UnknownStatusPolicy::Deny,
            })
            .with_expiration_policy(match self.allow_expired {
                true => ExpirationPolicy::Ignore,
                false => ExpirationPolicy::Enforce,
            })
            .build();
        Some(verify(options))
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationLists({} lists)", self.lists.len())
    }
}
