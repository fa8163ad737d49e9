//! How an [`HttpsConnector`] is made.

use core::fmt;
use core::time::Duration;
use std::error::Error;

use hyper_util::client::legacy::connect::HttpConnector;
use tls_tokio::{ClientConfig, ConfigError, DEFAULT_HANDSHAKE_TIMEOUT, EofPolicy, ServerName, TlsConnector};

use super::connector::{HttpsConnector, Settings};

/// How long the connector below may take, unless set otherwise: name resolution, and all addresses that it tries.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// Builds an [`HttpsConnector`]. Nothing here panics: what does not fit together is an error of [`Self::build`].
///
/// | | default |
/// | --- | --- |
/// | [`https_or_http`](Self::https_or_http), [`https_only`](Self::https_only) | `https` alone |
/// | [`enable_http1`](Self::enable_http1), [`enable_http2`](Self::enable_http2) | what the configuration's ALPN says; if it says nothing, both |
/// | [`with_server_name`](Self::with_server_name) | the URI's host |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | [`handshake_timeout`](Self::handshake_timeout) | 10 s |
/// | [`eof_policy`](Self::eof_policy) | close_notify is required |
///
/// ```
/// use std::time::Duration;
/// use tls_hyper::{BuildError, ClientConfig, HttpsConnector, HttpsConnectorBuilder, ServerName};
///
/// /// For a service that is reached by address, and whose certificate is for a name.
/// fn connector(config: ClientConfig, name: ServerName<'static>) -> Result<HttpsConnector, BuildError> {
///     HttpsConnectorBuilder::new()
///         .with_tls_config(config)
///         .with_server_name(name)
///         .enable_http2()
///         .connect_timeout(Some(Duration::from_secs(2)))
///         .build()
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct HttpsConnectorBuilder {
    config: Option<ClientConfig>,
    allows_http: bool,
    http1: bool,
    http2: bool,
    server_name: Option<ServerName<'static>>,
    connect_timeout: Option<Option<Duration>>,
    handshake_timeout: Option<Option<Duration>>,
    eof_policy: EofPolicy,
}

impl HttpsConnectorBuilder {
    /// Starts a connector. It needs a configuration: [`Self::with_tls_config`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How TLS is spoken, and who is trusted.
    pub fn with_tls_config(mut self, config: ClientConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Refuses `http://` (the default).
    pub fn https_only(mut self) -> Self {
        self.allows_http = false;
        self
    }

    /// Lets `http://` through, in the clear.
    pub fn https_or_http(mut self) -> Self {
        self.allows_http = true;
        self
    }

    /// Offers HTTP/1.1 (ALPN `http/1.1`). Together with [`Self::enable_http2`] this replaces the ALPN of the
    /// configuration, where HTTP/2 comes first.
    pub fn enable_http1(mut self) -> Self {
        self.http1 = true;
        self
    }

    /// Offers HTTP/2 (ALPN `h2`). If it is offered alone, a server that does not choose it is refused.
    pub fn enable_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Both.
    pub fn enable_all_versions(self) -> Self {
        self.enable_http1().enable_http2()
    }

    /// Asks every server for this name, and checks its certificate against it, instead of the URI's host. An IP address
    /// is checked, but not sent (RFC 6066 section 3).
    pub fn with_server_name(mut self, name: ServerName<'static>) -> Self {
        self.server_name = Some(name);
        self
    }

    /// How long it may take until there is a transport; `None` for no limit. Default: [`DEFAULT_CONNECT_TIMEOUT`].
    ///
    /// (An `HttpConnector` has a limit of its own, for each address that it tries: `set_connect_timeout`.)
    pub fn connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.connect_timeout = Some(limit);
        self
    }

    /// How long the handshake may take after that; `None` for no limit. Default: 10 seconds.
    pub fn handshake_timeout(mut self, limit: Option<Duration>) -> Self {
        self.handshake_timeout = Some(limit);
        self
    }

    /// Whether a connection that ends without close_notify may be the end of a response. Default: it may not.
    ///
    /// It matters for responses of HTTP/1 alone that have neither a length nor chunks: the end of the connection is all
    /// that ends them, so that somebody on the way could cut them short. Of others hyper reads no further than their end.
    pub fn eof_policy(mut self, policy: EofPolicy) -> Self {
        self.eof_policy = policy;
        self
    }

    /// A connector on TCP: hyper-util's `HttpConnector`, which tries the addresses of a host by Happy Eyeballs
    /// (RFC 8305), with TCP_NODELAY.
    ///
    /// # Errors
    /// There is no configuration.
    pub fn build(self) -> Result<HttpsConnector, BuildError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Whole flights and records are written: waiting to put them together only makes them late.
        http.set_nodelay(true);
        self.wrap_connector(http)
    }

    /// A connector on another one: a proxy, a Unix socket, an `HttpConnector` with settings of your own (which needs
    /// `enforce_http(false)`).
    ///
    /// # Errors
    /// There is no configuration.
    pub fn wrap_connector<C>(self, transport: C) -> Result<HttpsConnector<C>, BuildError> {
        let mut config = self.config.ok_or(BuildError::NoTlsConfig)?;
        let enabled = [(self.http2, HTTP_2), (self.http1, HTTP_1_1)];
        let mut protocols: Vec<_> = enabled
            .into_iter()
            .filter_map(|(on, name)| on.then_some(name))
            .collect();
        if protocols.is_empty() && config.alpn().next().is_none() {
            protocols = vec![HTTP_2, HTTP_1_1];
        }
        if !protocols.is_empty() && !config.alpn().eq(protocols.iter().copied()) {
            config = config.with_alpn(protocols).map_err(BuildError::Config)?;
        }
        let requires_http2 = config.alpn().all(|name| name == HTTP_2);
        let handshake_timeout = self.handshake_timeout.unwrap_or(Some(DEFAULT_HANDSHAKE_TIMEOUT));
        Ok(HttpsConnector::new(
            transport,
            Settings {
                tls: TlsConnector::new(config).handshake_timeout(handshake_timeout),
                allows_http: self.allows_http,
                requires_http2,
                server_name: self.server_name,
                connect_timeout: self.connect_timeout.unwrap_or(Some(DEFAULT_CONNECT_TIMEOUT)),
                eof_policy: self.eof_policy,
            },
        ))
    }
}

/// Why there is no connector.
///
/// ```
/// use tls_hyper::{BuildError, HttpsConnector};
///
/// let built = HttpsConnector::builder().https_or_http().build();
/// assert!(matches!(built, Err(BuildError::NoTlsConfig)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// [`HttpsConnectorBuilder::with_tls_config`] was not called.
    NoTlsConfig,
    /// The configuration cannot be used with these protocols.
    Config(ConfigError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTlsConfig => f.write_str("an HttpsConnector needs a TLS configuration"),
            Self::Config(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl Error for BuildError {}
