//! Server configuration.

use core::fmt;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use super::{Common, common_builder_methods};
use crate::error::{ConfigError, HookError};
use crate::hooks::{
    Answer, CertificateResolver, CertifiedKey, ConnectionContext, KeyLog, MemoryCertificates,
};
use crate::messages::client_hello::ClientHello;
use crate::record::Padding;
use crate::registry::{CipherSuite, NamedGroup, SignatureScheme};

/// How a server behaves. Cheap to clone; made by [`ServerConfig::builder`].
///
/// ```
/// use tls_core::{CertifiedKey, ServerConfig};
/// # fn main() -> Result<(), tls_core::ConfigError> {
/// # let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let config = ServerConfig::builder()
///     .certificate(CertifiedKey::from_pem(chain.as_bytes(), key.as_bytes())?)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig(pub(crate) Arc<ServerSettings>);

pub(crate) struct ServerSettings {
    pub(crate) common: Common,
    pub(crate) resolver: Arc<dyn CertificateResolver>,
    pub(crate) selector: Option<Arc<dyn ConfigSelector>>,
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("common", &self.common)
            .field("resolver", &self.resolver)
            .field("selector", &self.selector)
            .finish()
    }
}

impl ServerConfig {
    /// Starts a configuration. It needs a certificate, or a resolver for them.
    pub fn builder() -> ServerConfigBuilder {
        ServerConfigBuilder {
            common: Common::default(),
            certificates: Vec::new(),
            resolver: None,
            selector: None,
        }
    }
}

/// Asked by a server after the ClientHello: which configuration serves this client? (Go's `GetConfigForClient`.)
pub trait ConfigSelector: fmt::Debug + Send + Sync {
    /// Chooses the configuration for the rest of this handshake. An error refuses the client, with the alert that
    /// [`HookError::with_alert`] carries.
    fn select<'a>(
        &'a self,
        client_hello: &'a ClientHello,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, HookError>>;
}

/// Builds a [`ServerConfig`].
#[derive(Debug)]
#[must_use]
pub struct ServerConfigBuilder {
    common: Common,
    certificates: Vec<CertifiedKey>,
    resolver: Option<Arc<dyn CertificateResolver>>,
    selector: Option<Arc<dyn ConfigSelector>>,
}

impl ServerConfigBuilder {
    common_builder_methods!();

    /// Adds a chain with its key. Of several, the one is presented that fits the client's server name and signature
    /// schemes; the first is the default.
    pub fn certificate(mut self, certificate: CertifiedKey) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Chooses certificates with a resolver, for example a [`MemoryCertificates`] that is replaced while serving.
    pub fn certificate_resolver(mut self, resolver: Arc<dyn CertificateResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Chooses, once the ClientHello is known, which configuration serves it. The one chosen is used as it is: its
    /// own selector is not asked again.
    pub fn config_selector(mut self, selector: Arc<dyn ConfigSelector>) -> Self {
        self.selector = Some(selector);
        self
    }

    /// Checks the configuration, and warms up the random generator: the first time in a process this can take
    /// 190 ms, so do it before serving.
    ///
    /// # Errors
    /// No certificate, both certificates and a resolver, or a list that is empty or names what is not supported.
    pub fn build(self) -> Result<ServerConfig, ConfigError> {
        self.common.check()?;
        let resolver = match (self.resolver, self.certificates.is_empty()) {
            (Some(resolver), true) => resolver,
            (None, false) => Arc::new(MemoryCertificates::new(self.certificates)),
            (None, true) if self.selector.is_some() => Arc::new(MemoryCertificates::new([])),
            (None, true) => return Err(ConfigError::new("no certificate to present")),
            (Some(_), false) => return Err(ConfigError::new("both certificates and a certificate resolver")),
        };
        Ok(ServerConfig(Arc::new(ServerSettings {
            common: self.common,
            resolver,
            selector: self.selector,
        })))
    }
}
