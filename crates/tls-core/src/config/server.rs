//! Server configuration.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use super::{ClientAuth, ClientAuthSettings, Common, common_builder_methods};
use crate::error::{ConfigError, HookError};
use crate::hooks::{
    Answer, CertificateResolver, CertifiedKey, ConnectionContext, KeyLog, MemoryCertificates,
    MemoryReplayGuard, ReplayGuard, RotatingTicketKeys, ServerSessionStore, TicketKeys,
};
use crate::messages::client_hello::ClientHello;
use crate::record::Padding;
use crate::registry::{CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme};
use crate::session::MAX_LIFETIME;
use crate::verify::RootStore;

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
    /// Whether clients are asked for a certificate.
    pub(crate) client_auth: Option<ClientAuthSettings>,
    pub(crate) require_extended_main_secret: bool,
    pub(crate) acknowledges_server_name: bool,
    /// Tickets for a client that does not say how many it wants.
    pub(crate) tickets: u8,
    /// Seconds that a session may be resumed.
    pub(crate) session_lifetime: u32,
    pub(crate) ticket_keys: Arc<dyn TicketKeys>,
    /// Where sessions are kept, if not in the tickets.
    pub(crate) session_store: Option<Arc<dyn ServerSessionStore>>,
    /// Bytes of early data that tickets allow.
    pub(crate) max_early_data: u32,
    pub(crate) replay_guard: Arc<dyn ReplayGuard>,
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("common", &self.common)
            .field("resolver", &self.resolver)
            .field("selector", &self.selector)
            .field("client_auth", &self.client_auth)
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
            client_auth: None,
            require_extended_main_secret: true,
            acknowledges_server_name: true,
            tickets: DEFAULT_TICKETS,
            session_lifetime: DEFAULT_SESSION_LIFETIME,
            ticket_keys: None,
            session_store: None,
            max_early_data: 0,
            replay_guard: None,
        }
    }
}

/// Asked by a server after the ClientHello: which configuration serves this client? (Go's `GetConfigForClient`.)
///
/// ```
/// use tls_core::{
///     AlertDescription, Answer, ClientHello, ConfigSelector, ConnectionContext, HookError, ServerConfig,
/// };
///
/// #[derive(Debug)]
/// struct Tenants {
///     internal: ServerConfig,
///     public: ServerConfig,
/// }
///
/// impl ConfigSelector for Tenants {
///     fn select<'a>(
///         &'a self,
///         client_hello: &'a ClientHello,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<ServerConfig, HookError>> {
///         Answer::Now(match client_hello.server_name() {
///             Some("internal.example") => Ok(self.internal.clone()),
///             Some(_) => Ok(self.public.clone()),
///             None => Err(HookError::with_alert("no name", AlertDescription::UNRECOGNIZED_NAME)),
///         })
///     }
/// }
/// ```
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
    client_auth: Option<ClientAuth>,
    require_extended_main_secret: bool,
    acknowledges_server_name: bool,
    tickets: u8,
    session_lifetime: u32,
    ticket_keys: Option<Arc<dyn TicketKeys>>,
    session_store: Option<Arc<dyn ServerSessionStore>>,
    max_early_data: u32,
    replay_guard: Option<Arc<dyn ReplayGuard>>,
}

/// Tickets that a client is given: one to use next, one for a second connection at the same time.
const DEFAULT_TICKETS: u8 = 2;

/// A day: no longer than the default ticket keys open tickets.
const DEFAULT_SESSION_LIFETIME: u32 = 86_400;

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

    /// Asks clients for a certificate, which is then required or not. Default: they are not asked.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = Some(client_auth);
        self
    }

    /// Requires a certificate of each client, verified with webpki against these roots: extended key usage clientAuth
    /// if it has one at all. The names of the roots are sent to the client if they are no more than 64. With CRLs, or
    /// for clients without a certificate too, see [`Self::client_auth`]. Default: clients are not asked.
    pub fn client_roots(self, roots: RootStore) -> Self {
        self.client_auth(ClientAuth::required_from(roots))
    }

    /// Accepts TLS 1.2 peers without the extended main secret (RFC 7627). Without it an attacker who terminates two
    /// connections can make their secrets the same, and then pass off one as the other (triple handshake). Exporters
    /// of such connections must not be relied on. Default: they are refused.
    pub fn allow_missing_extended_main_secret(mut self) -> Self {
        self.require_extended_main_secret = false;
        self
    }

    /// Does not tell clients that the server name was of use (RFC 6066 section 3): for a server that serves all names
    /// alike. Default: they are told.
    pub fn ignore_server_name(mut self) -> Self {
        self.acknowledges_server_name = false;
        self
    }

    /// How many tickets a client is given that does not say how many it wants (RFC 9149); 0 to give none and resume
    /// nothing. Default: 2.
    pub fn tickets(mut self, count: u8) -> Self {
        self.tickets = count;
        self
    }

    /// How long a session may be resumed, at most seven days (section 4.6.1). Default: one day.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = u32::try_from(lifetime.as_secs())
            .unwrap_or(u32::MAX)
            .min(MAX_LIFETIME);
        self
    }

    /// The keys that tickets are sealed with. Kept outside the configuration, they outlive a reload of certificates,
    /// and sessions with them. Default: [`RotatingTicketKeys`] of the configuration's own.
    pub fn ticket_keys(mut self, keys: Arc<dyn TicketKeys>) -> Self {
        self.ticket_keys = Some(keys);
        self
    }

    /// Keeps sessions in this store; a ticket is then no more than a name. Default: none, all is in the ticket.
    pub fn session_store(mut self, store: Arc<dyn ServerSessionStore>) -> Self {
        self.session_store = Some(store);
        self
    }

    /// How many bytes of early data (0-RTT, section 2.3) may come with each ticket given out from now on; 0 for none. A
    /// connection may have to keep them all in memory until its handshake is over.
    /// It is accepted by [`accept_early`](crate::accept_early) alone; [`accept`](crate::accept) skips it, and the client
    /// sends it again after the handshake. Default: 0.
    ///
    /// Early data can be recorded and sent again by others. The replay guard sees to it that it is accepted once, but
    /// a client that is told of a rejection sends it again: whatever it asks for must do no harm when done twice
    /// (section 8; RFC 8470 for HTTP).
    pub fn max_early_data(mut self, bytes: u32) -> Self {
        self.max_early_data = bytes;
        self
    }

    /// What is asked whether early data was seen before. It has to live as long as the ticket keys, or the session store,
    /// and be shared by all that share those: servers of a fleet, which also need clocks that are less than 10 seconds
    /// apart, and all configurations of a selector; that of the selected one is asked. Otherwise each of them accepts the
    /// same early data once. Default: a [`MemoryReplayGuard`] of the configuration's own, which accepts nothing in the
    /// first half minute if [`Self::ticket_keys`] or a [`Self::session_store`] are given, which may be older.
    pub fn replay_guard(mut self, guard: Arc<dyn ReplayGuard>) -> Self {
        self.replay_guard = Some(guard);
        self
    }

    /// Checks the configuration, and warms up the random generator: the first time in a process this can take
    /// 190 ms, so do it before serving.
    ///
    /// # Errors
    /// No certificate, both certificates and a resolver, a list that is empty or names what is not supported, or names
    /// of authorities that are too long to be sent.
    pub fn build(self) -> Result<ServerConfig, ConfigError> {
        self.common.check()?;
        let resolver = match (self.resolver, self.certificates.is_empty()) {
            (Some(resolver), true) => resolver,
            (None, false) => Arc::new(MemoryCertificates::new(self.certificates)),
            (None, true) if self.selector.is_some() => Arc::new(MemoryCertificates::new([])),
            (None, true) => return Err(ConfigError::new("no certificate to present")),
            (Some(_), false) => return Err(ConfigError::new("both certificates and a certificate resolver")),
        };
        let client_auth = self.client_auth.map(|auth| auth.build(&self.common));
        let guard = MemoryReplayGuard::default();
        let guard = match (&self.ticket_keys, &self.session_store) {
            (None, None) => guard.with_new_keys(),
            _ => guard,
        };
        Ok(ServerConfig(Arc::new(ServerSettings {
            client_auth: client_auth.transpose()?,
            common: self.common,
            resolver,
            selector: self.selector,
            require_extended_main_secret: self.require_extended_main_secret,
            acknowledges_server_name: self.acknowledges_server_name,
            tickets: self.tickets,
            session_lifetime: self.session_lifetime,
            ticket_keys: self
                .ticket_keys
                .unwrap_or_else(|| Arc::new(RotatingTicketKeys::new())),
            session_store: self.session_store,
            max_early_data: self.max_early_data,
            replay_guard: self.replay_guard.unwrap_or_else(|| Arc::new(guard)),
        })))
    }
}
