//! Trusted roots and revocation lists from files.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tls_core::pki_types::CertificateRevocationListDer;
use tls_core::pki_types::pem::PemObject as _;
use tls_core::{
    Answer, CertificateError, ConfigError, ConnectionContext, PeerVerified, PeerVerifier, RevocationLists,
    RootStore, VerifyRequest, WebPkiVerifier, Zeroizing,
};

use super::watch::{Source, Watcher};
use super::{Options, Reload};

/// A [`WebPkiVerifier`] whose roots and revocation lists are PEM files, which may be replaced at any time: what is new is
/// used within an interval, 10 seconds by default. For servers that verify clients, and for clients.
///
/// Files may be replaced as those of [`ReloadingCertificates`](super::ReloadingCertificates), and failures are treated
/// alike: all files are taken together, and while one of them is no good, trust stays what it was. A list that expires
/// meanwhile is refused by each verification, not by the reload.
///
/// Connections that are established stay so, also those of a peer that is revoked. Sessions do not outlive the trust in
/// their peer: before one is resumed its chain is verified again, by what is trusted then. A server does not tell its
/// clients which authorities it trusts, since that is fixed with its configuration; see
/// [`ClientAuth::authorities`](tls_core::ClientAuth::authorities).
///
/// ```no_run
/// use std::sync::Arc;
/// use tls_tokio::tls_core::ClientAuth;
/// use tls_tokio::{CertifiedKey, ConfigError, ReloadingVerifier, ServerConfig};
///
/// # async fn example(certificate: CertifiedKey) -> Result<ServerConfig, ConfigError> {
/// let verifier = ReloadingVerifier::builder("/etc/tls/client-ca.pem")
///     .revocation_lists("/etc/tls/client-ca.crl")
///     .load()
///     .await?;
/// ServerConfig::builder()
///     .certificate(certificate)
///     .client_auth(ClientAuth::required(Arc::new(verifier)))
///     .build()
/// # }
/// ```
pub struct ReloadingVerifier {
    current: Arc<RwLock<Arc<WebPkiVerifier>>>,
    watcher: Watcher,
}

type Policy = Box<dyn Fn(RevocationLists) -> RevocationLists + Send + Sync>;

/// Builds a [`ReloadingVerifier`].
#[must_use]
pub struct ReloadingVerifierBuilder {
    roots: PathBuf,
    lists: Vec<PathBuf>,
    policy: Option<Policy>,
    options: Options,
}

impl ReloadingVerifier {
    /// Starts with the file that has the trusted roots, PEM.
    pub fn builder(roots: impl Into<PathBuf>) -> ReloadingVerifierBuilder {
        ReloadingVerifierBuilder {
            roots: roots.into(),
            lists: Vec::new(),
            policy: None,
            options: Options::default(),
        }
    }

    /// Looks at the files now instead of at the end of the interval. What comes of it is reported as ever.
    pub fn reload(&self) {
        self.watcher.wake();
    }

    fn current(&self) -> Arc<WebPkiVerifier> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReloadingVerifierBuilder {
    /// Adds a file with certificate revocation lists, PEM. Default: none, and revocation is not looked at.
    pub fn revocation_lists(mut self, file: impl Into<PathBuf>) -> Self {
        self.lists.push(file.into());
        self
    }

    /// How strictly the lists are taken, each time they are read: `|lists| lists.allow_unknown()`. Default: as
    /// [`RevocationLists`] says.
    pub fn revocation_policy(
        mut self,
        policy: impl Fn(RevocationLists) -> RevocationLists + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Within what time new files are used, at least 10 milliseconds. Default: 10 seconds.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.options.interval = interval;
        self
    }

    /// Calls this after each reload, and at the first sight of files that are no good. It must not block.
    pub fn on_reload(mut self, callback: impl Fn(Reload<'_>) + Send + Sync + 'static) -> Self {
        self.options.callback = Some(Arc::new(callback));
        self
    }

    /// Reads the files, and goes on looking at them on this runtime for as long as what it returns is there.
    ///
    /// # Errors
    /// A file that cannot be read, or has no root or no list in it.
    ///
    /// # Panics
    /// Outside a Tokio runtime with timers.
    pub async fn load(self) -> Result<ReloadingVerifier, ConfigError> {
        let Self {
            roots,
            lists,
            policy,
            options,
        } = self;
        let files = [roots].into_iter().chain(lists);
        let source = Source::new(files, move |contents| read_verifier(contents, policy.as_ref()));
        // Trusts nobody until the files are read.
        let nobody = Arc::new(WebPkiVerifier::new(RootStore::empty()));
        let current = Arc::new(RwLock::new(nobody));
        let target = Arc::clone(&current);
        let publish = move |verifiers: &mut dyn Iterator<Item = &WebPkiVerifier>| {
            for verifier in verifiers {
                let verifier = Arc::new(verifier.clone());
                *target.write().unwrap_or_else(PoisonError::into_inner) = verifier;
            }
        };
        let watcher = Watcher::start(vec![source], options, publish).await?;
        Ok(ReloadingVerifier { current, watcher })
    }
}

fn read_verifier(
    contents: &[Zeroizing<Vec<u8>>],
    policy: Option<&Policy>,
) -> Result<WebPkiVerifier, ConfigError> {
    let (roots, lists) = contents
        .split_first()
        .ok_or_else(|| ConfigError::new("no file with roots"))?;
    let verifier = WebPkiVerifier::new(RootStore::from_pem(roots)?);
    let mut ders = Vec::new();
    for list in lists {
        let before = ders.len();
        for der in CertificateRevocationListDer::pem_slice_iter(list) {
            ders.push(der.map_err(|error| ConfigError::new(format!("CRL PEM: {error}")))?);
        }
        if ders.len() == before {
            return Err(ConfigError::new(
                "no certificate revocation list in a file for them",
            ));
        }
    }
    if ders.is_empty() {
        return Ok(verifier);
    }
    let lists = RevocationLists::from_der(&ders)?;
    Ok(verifier.revocation_lists(match policy {
        Some(policy) => policy(lists),
        None => lists,
    }))
}

/// What it trusts may be another thing at any time: nothing that was accepted once is taken for accepted
/// ([`PeerVerifier::still_accepts`]), and no other configuration is given its sessions
/// ([`PeerVerifier::security_domain`]).
impl PeerVerifier for ReloadingVerifier {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        let current = self.current();
        if let Answer::Now(answer) = current.verify(request, context) {
            return Answer::Now(answer);
        }
        Answer::later(async move {
            match current.verify(request, context) {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => answer.await,
            }
        })
    }
}

impl fmt::Debug for ReloadingVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReloadingVerifier").field(&self.current()).finish()
    }
}

impl fmt::Debug for ReloadingVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadingVerifierBuilder")
            .field("roots", &self.roots)
            .field("revocation_lists", &self.lists)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
