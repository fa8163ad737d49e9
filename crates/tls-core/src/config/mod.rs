//! How a client or a server behaves, checked once when it is built and shared by its connections.

mod client;
mod client_auth;
mod server;

use core::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::UnixTime;

use crate::crypto::suites::Suite;
use crate::crypto::{key_exchange, random, suites, verification};
use crate::error::ConfigError;
use crate::hooks::KeyLog;
use crate::record::{MAX_CERTIFICATE_MESSAGE, MAX_FRAGMENT, Padding};
use crate::registry::{CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme};

pub(crate) use client::ClientSettings;
pub use client::{ClientConfig, ClientConfigBuilder};
pub use client_auth::ClientAuth;
pub(crate) use client_auth::ClientAuthSettings;
pub(crate) use server::ServerSettings;
pub use server::{ConfigSelector, ServerConfig, ServerConfigBuilder};

/// Where a configuration gets the time from.
#[derive(Clone)]
pub(crate) enum Clock {
    System,
    Custom(Arc<dyn Fn() -> UnixTime + Send + Sync>),
}

impl Clock {
    pub(crate) fn now(&self) -> UnixTime {
        match self {
            Self::System => UnixTime::now(),
            Self::Custom(clock) => clock(),
        }
    }

    /// Milliseconds since 1970, as exact as the clock is: tickets have their age in milliseconds (section 4.2.11.1).
    pub(crate) fn now_ms(&self) -> u64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Self::Custom(clock) => clock().as_secs().saturating_mul(1000),
        }
    }
}

/// What both sides configure alike.
#[derive(Clone)]
pub(crate) struct Common {
    min_version: ProtocolVersion,
    max_version: ProtocolVersion,
    /// Of all versions, in order of preference.
    pub(crate) cipher_suites: Vec<CipherSuite>,
    pub(crate) groups: Vec<NamedGroup>,
    /// The schemes we accept of the peer over handshakes.
    pub(crate) signature_schemes: Vec<SignatureScheme>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) key_log: Option<Arc<dyn KeyLog>>,
    pub(crate) padding: Padding,
    /// Most bytes of content in a record that we send.
    pub(crate) max_fragment: usize,
    /// Bytes of the longest Certificate that is read.
    pub(crate) max_certificate_message: u32,
    pub(crate) clock: Clock,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            min_version: ProtocolVersion::TLS12,
            max_version: ProtocolVersion::TLS13,
            cipher_suites: [&suites::DEFAULT_TLS13_SUITES[..], &suites::DEFAULT_TLS12_SUITES].concat(),
            groups: key_exchange::SUPPORTED_GROUPS.to_vec(),
            signature_schemes: verification::DEFAULT_SCHEMES.to_vec(),
            alpn: Vec::new(),
            key_log: None,
            padding: Padding::None,
            max_fragment: MAX_FRAGMENT,
            max_certificate_message: MAX_CERTIFICATE_MESSAGE,
            clock: Clock::System,
        }
    }
}

impl Common {
    /// Whether this version is within the bounds, and there are a suite and a group for it.
    pub(crate) fn supports(&self, version: ProtocolVersion) -> bool {
        let mut groups = self.groups.iter();
        (self.min_version..=self.max_version).contains(&version)
            && self.suites(version).next().is_some()
            && (version == ProtocolVersion::TLS13 || groups.any(|group| key_exchange::is_for_tls12(*group)))
    }

    /// The versions we speak, best first.
    pub(crate) fn versions(&self) -> Vec<ProtocolVersion> {
        SUPPORTED_VERSIONS
            .into_iter()
            .filter(|version| self.supports(*version))
            .collect()
    }

    /// Our suites of this version, best first.
    pub(crate) fn suites(&self, version: ProtocolVersion) -> impl Iterator<Item = &'static Suite> + Clone {
        self.cipher_suites
            .iter()
            .filter_map(|id| suites::suite(*id))
            .filter(move |suite| suite.version == version)
    }

    /// Checks what can be wrong on either side, and pays for the first random byte of the process (65-190 ms in
    /// builds with jitter entropy), so that it never falls into a handshake.
    fn check(&self) -> Result<(), ConfigError> {
        if self.cipher_suites.is_empty() {
            return Err(ConfigError::new("no cipher suites"));
        }
        if let Some(suite) = self
            .cipher_suites
            .iter()
            .find(|suite| suites::suite(**suite).is_none())
        {
            return Err(ConfigError::new(format!("cipher suite {suite} is not supported")));
        }
        if let Some(version) = [self.min_version, self.max_version]
            .iter()
            .find(|v| !SUPPORTED_VERSIONS.contains(v))
        {
            return Err(ConfigError::new(format!(
                "version {version} is not supported: TLSv1.2 and TLSv1.3 are"
            )));
        }
        if self.groups.is_empty() {
            return Err(ConfigError::new("no groups for key exchange"));
        }
        if self.versions().is_empty() {
            return Err(ConfigError::new(
                "no version between the minimum and the maximum has a cipher suite and a group",
            ));
        }
        if let Some(group) = self
            .groups
            .iter()
            .find(|group| !key_exchange::is_supported(**group))
        {
            return Err(ConfigError::new(format!("group {group} is not supported")));
        }
        if self.signature_schemes.is_empty() {
            return Err(ConfigError::new("no signature schemes"));
        }
        if let Some(scheme) = self
            .signature_schemes
            .iter()
            .find(|scheme| verification::algorithms_for_tls12(**scheme).is_empty())
        {
            return Err(ConfigError::new(format!(
                "signature scheme {scheme} is not supported"
            )));
        }
        if !(MIN_FRAGMENT..=MAX_FRAGMENT).contains(&self.max_fragment) {
            return Err(ConfigError::new(format!(
                "records of {} bytes: {MIN_FRAGMENT} to {MAX_FRAGMENT} are allowed",
                self.max_fragment
            )));
        }
        if let Some(name) = self.alpn.iter().find(|name| name.is_empty() || name.len() > 255) {
            return Err(ConfigError::new(format!(
                "ALPN name of {} bytes: 1 to 255 are allowed",
                name.len()
            )));
        }
        random::warm_up().map_err(|error| ConfigError::new(error.to_string()))
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("cipher_suites", &self.cipher_suites)
            .field("groups", &self.groups)
            .field("signature_schemes", &self.signature_schemes)
            .finish_non_exhaustive()
    }
}

/// The least that a record may be limited to: what RFC 8449 allows a peer to ask for (section 4).
const MIN_FRAGMENT: usize = 64;

/// The versions this library speaks, best first.
const SUPPORTED_VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::TLS13, ProtocolVersion::TLS12];

/// The builder methods that both sides have.
macro_rules! common_builder_methods {
    () => {
        /// The oldest version to accept. Default: TLS 1.2.
        pub fn min_version(mut self, version: ProtocolVersion) -> Self {
            self.common.min_version = version;
            self
        }

        /// The newest version to accept. Default: TLS 1.3.
        pub fn max_version(mut self, version: ProtocolVersion) -> Self {
            self.common.max_version = version;
            self
        }

        /// The cipher suites of all versions, best first; a version without a suite here is not spoken. Default:
        /// TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, and for TLS 1.2 the ECDHE
        /// suites with ECDSA and RSA in the same order.
        pub fn cipher_suites(mut self, suites: impl IntoIterator<Item = CipherSuite>) -> Self {
            self.common.cipher_suites = suites.into_iter().collect();
            self
        }

        /// The groups for key exchange, best first. Default: X25519MLKEM768, X25519, secp256r1, secp384r1,
        /// secp521r1.
        ///
        /// In TLS 1.2 a client's list is also the curves of ECDSA certificates that it takes from servers (RFC 8422 5.1),
        /// and servers go by it: without secp256r1, no certificate with a P-256 key. In TLS 1.3 it is not.
        pub fn groups(mut self, groups: impl IntoIterator<Item = NamedGroup>) -> Self {
            self.common.groups = groups.into_iter().collect();
            self
        }

        /// The signature schemes accepted of the peer's own signature over the handshake, best first. The certificates of
        /// its chain may be signed with any that is supported: a verifier of your own can be stricter. Default: all that
        /// are supported.
        pub fn signature_schemes(mut self, schemes: impl IntoIterator<Item = SignatureScheme>) -> Self {
            self.common.signature_schemes = schemes.into_iter().collect();
            self
        }

        /// The application protocols (RFC 7301), best first. Default: none, and ALPN is not used.
        pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
            self.common.alpn = protocols
                .into_iter()
                .map(|protocol| protocol.as_ref().to_vec())
                .collect();
            self
        }

        /// Hands the traffic secrets of every connection to this log. Default: none.
        pub fn key_log(mut self, key_log: Arc<dyn KeyLog>) -> Self {
            self.common.key_log = Some(key_log);
            self
        }

        /// Pads the records we send (section 5.4). Default: no padding.
        pub fn padding(mut self, padding: Padding) -> Self {
            self.common.padding = padding;
            self
        }

        /// The most bytes of content in one record that we send, 64 to 16,384 (section 5.1): for peers that have little
        /// memory, or act on each record as it comes. Default: 16,384.
        pub fn max_fragment(mut self, bytes: u16) -> Self {
            self.common.max_fragment = usize::from(bytes);
            self
        }

        /// The longest Certificate message of the peer that is read, in bytes, stapled responses included. A longer one
        /// is refused as soon as its length is known. Default, and at most: 131,072.
        pub fn max_certificate_message(mut self, bytes: u32) -> Self {
            self.common.max_certificate_message = bytes.min(crate::record::MAX_CERTIFICATE_MESSAGE);
            self
        }

        /// Where to get the time from. Default: the system's clock.
        pub fn clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
            self.common.clock = crate::config::Clock::Custom(Arc::new(clock));
            self
        }
    };
}
use common_builder_methods;
