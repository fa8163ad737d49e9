//! Client configuration.

use core::fmt;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Common, common_builder_methods};
use crate::crypto::suites::Suite;
use crate::crypto::{hash, random};
use crate::error::ConfigError;
use crate::hooks::{
    AcceptAnyCertificate, CertificateResolver, CertifiedKey, ClientSessionCache, KeyLog, MemoryCertificates,
    PeerVerifier, PinnedCertificate, SessionKey, WebPkiVerifier,
};
use crate::record::Padding;
use crate::registry::{CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme};
use crate::verify::RootStore;

/// How a client behaves. Cheap to clone; made by [`ClientConfig::builder`].
///
/// ```
/// use tls_core::{ClientConfig, RootStore};
/// # fn main() -> Result<(), tls_core::ConfigError> {
/// # let root = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
/// # let pem = root.cert.pem();
/// let config = ClientConfig::builder()
///     .roots(RootStore::from_pem(pem.as_bytes())?)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig(pub(crate) Arc<ClientSettings>);

#[derive(Clone)]
pub(crate) struct ClientSettings {
    pub(crate) common: Common,
    /// The groups that get a key share in the first ClientHello.
    pub(crate) key_shares: Vec<NamedGroup>,
    pub(crate) verifier: Arc<dyn PeerVerifier>,
    pub(crate) resolver: Option<Arc<dyn CertificateResolver>>,
    pub(crate) middlebox_compatibility: bool,
    pub(crate) send_server_name: bool,
    pub(crate) require_extended_main_secret: bool,
    pub(crate) require_renegotiation_info: bool,
    pub(crate) hello_requests_are_fatal: bool,
    pub(crate) session_cache: Option<Arc<dyn ClientSessionCache>>,
    /// Sessions are shared by configurations that trust, present and offer the same.
    pub(crate) security_domain: [u8; 32],
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("common", &self.common)
            .field("key_shares", &self.key_shares)
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

impl ClientConfig {
    /// Where sessions are kept, if anywhere.
    #[must_use]
    pub fn sessions(&self) -> Option<&Arc<dyn ClientSessionCache>> {
        self.0.session_cache.as_ref()
    }

    /// Under what sessions with this server are kept.
    #[must_use]
    pub fn session_key(&self, server: &ServerName<'static>) -> SessionKey {
        SessionKey {
            server: server.clone(),
            security_domain: self.0.security_domain,
        }
    }

    /// The application protocols that are offered (RFC 7301), best first; none where ALPN is not used.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.0.common.alpn.iter().map(Vec::as_slice)
    }

    /// The same configuration with other application protocols, best first: for whoever is given a configuration and
    /// knows what is spoken. Sessions are not shared between the two.
    ///
    /// # Errors
    /// A name is empty or longer than 255 bytes.
    pub fn with_alpn(
        &self,
        protocols: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Self, ConfigError> {
        let mut settings = ClientSettings::clone(&self.0);
        settings.common.alpn = protocols
            .into_iter()
            .map(|protocol| protocol.as_ref().to_vec())
            .collect();
        settings.common.check()?;
        let presents_certificate = settings.resolver.is_some();
        settings.security_domain =
            security_domain(&*settings.verifier, presents_certificate, &settings.common)?;
        Ok(Self(Arc::new(settings)))
    }

    /// Starts a configuration. It needs a verifier: [`ClientConfigBuilder::roots`] is the usual one.
    pub fn builder() -> ClientConfigBuilder {
        ClientConfigBuilder {
            common: Common::default(),
            key_shares: None,
            verifier: None,
            resolver: None,
            middlebox_compatibility: true,
            send_server_name: true,
            require_extended_main_secret: true,
            require_renegotiation_info: true,
            hello_requests_are_fatal: false,
            session_cache: None,
        }
    }
}

/// Builds a [`ClientConfig`].
#[derive(Debug)]
#[must_use]
pub struct ClientConfigBuilder {
    common: Common,
    key_shares: Option<Vec<NamedGroup>>,
    verifier: Option<Arc<dyn PeerVerifier>>,
    resolver: Option<Arc<dyn CertificateResolver>>,
    middlebox_compatibility: bool,
    send_server_name: bool,
    require_extended_main_secret: bool,
    require_renegotiation_info: bool,
    hello_requests_are_fatal: bool,
    session_cache: Option<Arc<dyn ClientSessionCache>>,
}

impl ClientConfigBuilder {
    common_builder_methods!();

    /// Verifies servers with webpki against these roots.
    pub fn roots(self, roots: RootStore) -> Self {
        self.verifier(Arc::new(WebPkiVerifier::new(roots)))
    }

    /// Verifies servers with a verifier of the caller's own.
    pub fn verifier(mut self, verifier: Arc<dyn PeerVerifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Accepts exactly this end-entity certificate, whatever its name, dates and issuer.
    pub fn dangerously_pin_certificate(self, certificate: CertificateDer<'static>) -> Self {
        self.verifier(Arc::new(PinnedCertificate::new(certificate)))
    }

    /// Accepts any certificate: whoever sits on the path can read and change everything. For tests only.
    pub fn dangerously_accept_any_certificate(self) -> Self {
        self.verifier(Arc::new(AcceptAnyCertificate))
    }

    /// The certificate to present to servers that ask for one.
    pub fn certificate(self, certificate: CertifiedKey) -> Self {
        self.certificate_resolver(Arc::new(MemoryCertificates::new([certificate])))
    }

    /// Chooses the certificate to present to servers that ask for one. Default: none is presented.
    pub fn certificate_resolver(mut self, resolver: Arc<dyn CertificateResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// The groups that get a key share in the first ClientHello; a server that wants another of
    /// [`Self::groups`] asks for it with a HelloRetryRequest. Default: X25519MLKEM768 and X25519, as far as they are
    /// among the groups, else the first group. They are sent in the order of the groups.
    pub fn key_shares(mut self, groups: impl IntoIterator<Item = NamedGroup>) -> Self {
        self.key_shares = Some(groups.into_iter().collect());
        self
    }

    /// Whether to look like TLS 1.2 to middleboxes (section D.4): a session id, and dummy change_cipher_spec.
    /// Default: yes.
    pub fn middlebox_compatibility(mut self, enabled: bool) -> Self {
        self.middlebox_compatibility = enabled;
        self
    }

    /// Whether to tell the server which name is wanted (RFC 6066 section 3). Never sent for IP addresses.
    /// Default: yes.
    pub fn send_server_name(mut self, enabled: bool) -> Self {
        self.send_server_name = enabled;
        self
    }

    /// Accepts TLS 1.2 peers without the extended main secret (RFC 7627). Without it an attacker who terminates two
    /// connections can make their secrets the same, and then pass off one as the other (triple handshake). Exporters
    /// of such connections must not be relied on. Default: they are refused.
    pub fn allow_missing_extended_main_secret(mut self) -> Self {
        self.require_extended_main_secret = false;
        self
    }

    /// Accepts TLS 1.2 servers that do not say that they know of RFC 5746. Such a server may take our handshake for a
    /// renegotiation of somebody else's connection, whose data then seems to come from us. Default: they are refused.
    pub fn allow_missing_renegotiation_info(mut self) -> Self {
        self.require_renegotiation_info = false;
        self
    }

    /// Ends a connection of TLS 1.2 whose server asks for another handshake, with a fatal no_renegotiation. Such a server
    /// often goes on with nothing else. Default: it is warned that there will be none (RFC 5246 7.2.2), or in the middle
    /// of a handshake passed over (7.4.1.1), and the connection goes on.
    pub fn end_on_hello_request(mut self) -> Self {
        self.hello_requests_are_fatal = true;
        self
    }

    /// Keeps sessions in this cache and resumes them. It can be shared by configurations: sessions are kept under a
    /// security domain, so that only those that trust the same roots, present no certificate of their own and offer
    /// the same versions and protocols use each other's. Default: none, and every handshake is a full one.
    pub fn session_cache(mut self, cache: Arc<dyn ClientSessionCache>) -> Self {
        self.session_cache = Some(cache);
        self
    }

    /// Checks the configuration, and warms up the random generator: the first time in a process this can take
    /// 190 ms, so do it before serving.
    ///
    /// # Errors
    /// No verifier, or a list that is empty or names what is not supported.
    pub fn build(self) -> Result<ClientConfig, ConfigError> {
        self.common.check()?;
        let groups = &self.common.groups;
        let key_shares = self.key_shares.unwrap_or_else(|| default_key_shares(groups));
        if let Some(group) = key_shares.iter().find(|group| !groups.contains(group)) {
            return Err(ConfigError::new(format!(
                "key share for {group}, which is not among the groups"
            )));
        }
        // On the wire they must stand in the order of the groups, each once (section 4.2.8).
        let key_shares = groups
            .iter()
            .filter(|group| key_shares.contains(group))
            .copied()
            .collect();
        let verifier = self
            .verifier
            .ok_or_else(|| ConfigError::new("no roots or verifier to check servers with"))?;
        let security_domain = security_domain(&*verifier, self.resolver.is_some(), &self.common)?;
        Ok(ClientConfig(Arc::new(ClientSettings {
            verifier,
            security_domain,
            session_cache: self.session_cache,
            common: self.common,
            key_shares,
            resolver: self.resolver,
            middlebox_compatibility: self.middlebox_compatibility,
            send_server_name: self.send_server_name,
            require_extended_main_secret: self.require_extended_main_secret,
            require_renegotiation_info: self.require_renegotiation_info,
            hello_requests_are_fatal: self.hello_requests_are_fatal,
        })))
    }
}

/// What must agree for a session to be used again: whom we trust, who we are, what we offer. Where the verifier has no
/// identity, or a certificate may be presented, the configuration and its clones are a domain of their own.
fn security_domain(
    verifier: &dyn PeerVerifier,
    presents_certificate: bool,
    common: &Common,
) -> Result<[u8; 32], ConfigError> {
    let mut domain = Vec::new();
    match verifier.security_domain() {
        Some(verifier) if !presents_certificate => domain.extend_from_slice(&verifier),
        _ => {
            let mut own = [0; 32];
            random::fill(&mut own).map_err(|error| ConfigError::new(error.to_string()))?;
            domain.extend_from_slice(&own);
        }
    }
    // A session that cannot be offered would be taken out of the cache for nothing.
    for version in common.versions() {
        domain.extend_from_slice(&version.0.to_be_bytes());
        // Any suite of its hash will do for a session of TLS 1.3, but only its own for one of TLS 1.2.
        let of = |suite: &Suite| match version {
            ProtocolVersion::TLS13 => suite.hash.len() as u16,
            _ => suite.id.0,
        };
        let mut suites: Vec<_> = common.suites(version).map(of).collect();
        suites.sort_unstable();
        suites.dedup();
        domain.push(u8::try_from(suites.len()).unwrap_or(u8::MAX));
        suites
            .iter()
            .for_each(|suite| domain.extend_from_slice(&suite.to_be_bytes()));
    }
    // Whoever accepts less does not resume what began with more.
    let mut schemes: Vec<_> = common.signature_schemes.iter().map(|scheme| scheme.0).collect();
    schemes.sort_unstable();
    schemes.dedup();
    domain.push(u8::try_from(schemes.len()).unwrap_or(u8::MAX));
    schemes
        .iter()
        .for_each(|scheme| domain.extend_from_slice(&scheme.to_be_bytes()));
    for name in &common.alpn {
        domain.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        domain.extend_from_slice(name);
    }
    Ok(hash::sha256(&domain))
}

fn default_key_shares(groups: &[NamedGroup]) -> Vec<NamedGroup> {
    let usual = |group: &&NamedGroup| [NamedGroup::X25519MLKEM768, NamedGroup::X25519].contains(group);
    let shares: Vec<_> = groups.iter().filter(usual).copied().collect();
    if shares.is_empty() {
        groups.iter().take(1).copied().collect()
    } else {
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_another_domain_of_sessions() {
        let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let roots = RootStore::from_pem(root.cert.pem().as_bytes()).unwrap();
        let config = ClientConfig::builder().roots(roots).alpn(["h2"]).build().unwrap();
        let server = ServerName::try_from("localhost").unwrap();
        let of = |config: &ClientConfig| config.session_key(&server).security_domain;

        let other = config.with_alpn(["http/1.1", "h2"]).unwrap();
        assert_eq!(other.alpn().collect::<Vec<_>>(), [&b"http/1.1"[..], b"h2"]);
        assert_ne!(of(&other), of(&config));
        assert_eq!(config.alpn().collect::<Vec<_>>(), [b"h2"]);
        assert_eq!(of(&other.with_alpn(["h2"]).unwrap()), of(&config));
        assert!(config.with_alpn([""]).is_err());
        assert!(config.with_alpn(["x".repeat(256)]).is_err());
    }
}
