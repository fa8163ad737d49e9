//! Certificates and keys from files.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use tls_core::{
    Answer, CertificateQuery, CertificateResolver, CertifiedKey, ConfigError, ConnectionContext, HookError,
    MemoryCertificates, UnixTime,
};

use super::watch::{Source, Watcher};
use super::{Options, Reload};

/// Certificates and keys from PEM files, which may be replaced at any time: what is new is used within an interval, 10
/// seconds by default. For servers, and for clients with certificates.
///
/// Files may be replaced by renaming, in place, one after the other, or by swapping a symbolic link to their directory
/// as Kubernetes does. New files are used once they are twice the same, the key fits the certificate, and
/// [`CertifiedKey::check_chain`] has nothing to say against the chain. Until then what was good before is used further.
/// Each reload and each failure is reported once: by `tracing` and to [`ReloadingCertificatesBuilder::on_reload`].
///
/// A reload touches neither connections nor sessions: resumption goes on where the configuration does. Of several
/// identities each is reloaded by itself; they are chosen as by [`MemoryCertificates`].
///
/// A task of the runtime looks at the files, until this is dropped. No handshake waits for it.
///
/// ```no_run
/// use std::sync::Arc;
/// use tls_tokio::{ReloadingCertificates, ServerConfig, TlsAcceptor};
///
/// # async fn example() -> Result<TlsAcceptor, tls_tokio::ConfigError> {
/// let certificates = ReloadingCertificates::builder()
///     .identity("/etc/tls/tls.crt", "/etc/tls/tls.key")
///     .load()
///     .await?;
/// let config = ServerConfig::builder().certificate_resolver(Arc::new(certificates)).build()?;
/// # Ok(
/// TlsAcceptor::new(config)
/// # )
/// # }
/// ```
pub struct ReloadingCertificates {
    certificates: Arc<MemoryCertificates>,
    watcher: Watcher,
}

/// Builds [`ReloadingCertificates`].
#[derive(Debug, Default)]
#[must_use]
pub struct ReloadingCertificatesBuilder {
    identities: Vec<[PathBuf; 2]>,
    strict: bool,
    options: Options,
}

impl ReloadingCertificates {
    /// Starts with no identity at all: add at least one.
    pub fn builder() -> ReloadingCertificatesBuilder {
        ReloadingCertificatesBuilder::default()
    }

    /// Looks at the files now instead of at the end of the interval: on SIGHUP, say. What comes of it is reported as
    /// ever.
    pub fn reload(&self) {
        self.watcher.wake();
    }
}

impl ReloadingCertificatesBuilder {
    /// Adds an identity: the file with its chain (the end entity's certificate first, without the root) and the one
    /// with its private key, both PEM. They may be the same file. The first identity is the default.
    pub fn identity(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identities.push([chain.into(), key.into()]);
        self
    }

    /// Refuses clients that name no server, or one that no identity is for, as [`MemoryCertificates::strict`] does.
    pub fn strict(mut self) -> Self {
        self.strict = true;
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
    /// No identity, or one of them is no good: a file that cannot be read, a key that does not fit, a certificate that
    /// has expired.
    ///
    /// # Panics
    /// Outside a Tokio runtime with timers.
    pub async fn load(self) -> Result<ReloadingCertificates, ConfigError> {
        if self.identities.is_empty() {
            return Err(ConfigError::new("no certificate to present"));
        }
        let certificates = MemoryCertificates::new([]);
        let certificates = Arc::new(if self.strict {
            certificates.strict()
        } else {
            certificates
        });
        let sources = self.identities.into_iter().map(|files| {
            Source::new(files, |contents| match contents {
                [chain, key] => read_identity(chain, key),
                _ => Err(ConfigError::new("not two files")),
            })
        });
        let target = Arc::clone(&certificates);
        let publish = move |identities: &mut dyn Iterator<Item = &CertifiedKey>| {
            target.replace(identities.cloned());
        };
        let watcher = Watcher::start(sources.collect(), self.options, publish).await?;
        Ok(ReloadingCertificates {
            certificates,
            watcher,
        })
    }
}

fn read_identity(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, ConfigError> {
    let certified = CertifiedKey::from_pem(chain, key)?;
    certified
        .check_chain(UnixTime::now())
        .map_err(|error| ConfigError::new(format!("the certificate: {error}")))?;
    Ok(certified)
}

impl CertificateResolver for ReloadingCertificates {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        self.certificates.resolve(query, context)
    }
}

impl fmt::Debug for ReloadingCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReloadingCertificates")
            .field(&self.certificates)
            .finish()
    }
}
