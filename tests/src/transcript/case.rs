//! What a recorded connection does: our configuration, the peer's command line, and the steps after the handshake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tls_core::{
    CertifiedKey, CipherSuite, ClientAuth, ClientConfig, KeyLog, MemoryReplayGuard, NamedGroup,
    ProtocolVersion, ReplayGuard, RootStore, RotatingTicketKeys, ServerConfig, SignatureScheme, TicketKeys,
    UnixTime, WebPkiVerifier,
};
use tls_tokio::{MemorySessionCache, MemorySessionStore};

use crate::pki::IdentityFiles;

/// A recorded scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// `client-tls13-...`: our side, the version, and what it shows. Also the name of its file.
    pub name: String,
    /// How we are configured.
    pub settings: Vec<Setting>,
    /// Whom it is recorded against.
    pub peer: Peer,
    /// What each connection does.
    pub connections: Vec<Plan>,
}

/// A program as the peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `openssl` or `gnutls`.
    pub program: Program,
    /// Of a server: its identity.
    pub identity: &'static str,
    /// More arguments, for all connections.
    pub arguments: Vec<&'static str>,
}

/// The programs that connections are recorded against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `openssl s_server` or `openssl s_client`.
    OpenSsl,
    /// `gnutls-serv` or `gnutls-cli`.
    GnuTls,
}

/// One thing that is configured otherwise than by default.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the method of the builder that has its name")]
pub enum Setting {
    Version(ProtocolVersion),
    Versions(ProtocolVersion, ProtocolVersion),
    Suites(Vec<CipherSuite>),
    Groups(Vec<NamedGroup>),
    KeyShares(Vec<NamedGroup>),
    Schemes(Vec<SignatureScheme>),
    Alpn(Vec<&'static str>),
    /// An identity that we present: on a server, the first is the default, and p256 without this.
    Certificate(&'static str),
    /// The root that we trust instead of the usual one.
    Roots(&'static str),
    SendServerName(bool),
    MiddleboxCompatibility(bool),
    /// A client that remembers sessions.
    SessionCache,
    /// A server that keeps sessions itself.
    SessionStore,
    Tickets(u8),
    MaxEarlyData(u32),
    ClientAuth {
        required: bool,
    },
    AllowMissingExtendedMainSecret,
    AllowMissingRenegotiationInfo,
}

/// One connection of a case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name that a client asks for.
    pub server_name: &'static str,
    /// What a client sends as early data; on a server, whether it takes early data.
    pub early: Option<&'static str>,
    /// Arguments of a client that is the peer, for this connection alone. A server is started anew with these, if
    /// there are any.
    pub arguments: Vec<&'static str>,
    /// Settings for this connection and the next ones.
    pub settings: Vec<Setting>,
    /// What happens after the handshake.
    pub steps: Vec<Step>,
}

/// What happens on a connection that is established.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// We send this.
    Send(&'static str),
    /// The peer is made to send this, while it is recorded.
    Say(&'static str),
    /// We read until this has come.
    Receive(&'static str),
    /// We change our keys, and ask the peer to, or do not.
    KeyUpdate(bool),
    /// We export keying material, and the peer (OpenSSL with `-keymatexport`) must say the same while it is recorded.
    Export(&'static str),
    /// We send close_notify.
    Close,
    /// The peer gets some time, while it is recorded: to do what it was told before it is told more.
    Pause,
    /// The peer's input ends, while it is recorded: most close the connection then.
    EndInput,
    /// We read until the peer has closed, or an error comes.
    AwaitEnd,
    /// We read until this many tickets have come, and keep them.
    ReadTickets(usize),
}

impl Case {
    /// Whether we are the client.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.name.starts_with("client-")
    }

    /// What the file says of our configuration and the steps, so that one that was made for others is noticed.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .settings
            .iter()
            .map(|setting| format!("{setting:?}"))
            .collect();
        for (number, plan) in (1..).zip(&self.connections) {
            let mut line = format!("connection {number}:");
            if self.is_client() {
                line += &format!(" to {},", plan.server_name);
            }
            if let Some(early) = plan.early {
                line += &format!(" early data {early:?},");
            }
            for setting in &plan.settings {
                line += &format!(" {setting:?},");
            }
            lines.push(format!("{line} {:?}", plan.steps));
        }
        lines
    }
}

/// Where the recordings are.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/transcripts")
}

/// The files of a fixed identity; they exist or not.
#[must_use]
pub fn identity_files(name: &str) -> IdentityFiles {
    let file = |kind: &str| directory().join(format!("pki/{name}-{kind}.pem"));
    let issuers = file("issuers");
    IdentityFiles {
        chain: file("chain"),
        leaf: file("leaf"),
        issuers: issuers.exists().then_some(issuers),
        key: file("key"),
    }
}

/// The file of a fixed root.
#[must_use]
pub fn root_file(name: &str) -> PathBuf {
    directory().join(format!("pki/{name}-ca.pem"))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A fixed identity.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn certified(name: &'static str) -> CertifiedKey {
    static KNOWN: Known<CertifiedKey> = Known::new(BTreeMap::new());
    known(&KNOWN, name, || {
        let files = identity_files(name);
        CertifiedKey::from_pem(&read(&files.chain), &read(&files.key)).expect("a fixed identity is good")
    })
}

/// A fixed root.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn roots(name: &'static str) -> RootStore {
    static KNOWN: Known<RootStore> = Known::new(BTreeMap::new());
    known(&KNOWN, name, || {
        RootStore::from_pem(&read(&root_file(name))).expect("a fixed root is good")
    })
}

type Known<T> = Mutex<BTreeMap<&'static str, T>>;

/// What was read before, so that a fuzzer does not read it for each input.
fn known<T: Clone>(known: &Known<T>, name: &'static str, read: impl FnOnce() -> T) -> T {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(name).or_insert_with(read).clone()
}

/// What the configurations of a case share: they are made anew for each connection, since the plan may change them.
#[derive(Debug)]
pub struct Shared {
    /// Seconds since 1970, for ever.
    pub clock: u64,
    /// Where the secrets go.
    pub log: Arc<dyn KeyLog>,
    /// Our memory, on either side.
    pub cache: Arc<MemorySessionCache>,
    /// The same of a server.
    pub store: Arc<MemorySessionStore>,
    /// Tickets of one connection are opened on the next.
    pub ticket_keys: Arc<dyn TicketKeys>,
    /// Early data of one connection is not accepted on the next.
    pub replay_guard: Arc<dyn ReplayGuard>,
}

impl Shared {
    /// Nothing is remembered yet. Ticket keys are random, and so on the tape.
    #[must_use]
    pub fn new(clock: u64, log: Arc<dyn KeyLog>) -> Self {
        let since = move || UnixTime::since_unix_epoch(Duration::from_secs(clock));
        Self {
            clock,
            log,
            cache: Arc::new(MemorySessionCache::new(16).with_clock(move || clock * 1000)),
            // Much more than there are: it has shards, by a hash that is another in each process, and the sessions of a
            // connection may share one.
            store: Arc::new(MemorySessionStore::new(1024).with_clock(move || clock * 1000)),
            ticket_keys: Arc::new(RotatingTicketKeys::new().with_clock(since)),
            replay_guard: Arc::new(
                MemoryReplayGuard::default()
                    .with_clock(move || Duration::from_secs(clock))
                    .with_new_keys(),
            ),
        }
    }
}

/// A client with these settings.
///
/// # Panics
/// If they do not fit together.
#[must_use]
pub fn client_config(settings: &[Setting], shared: &Shared) -> ClientConfig {
    let clock = shared.clock;
    let mut builder = ClientConfig::builder()
        .key_log(Arc::clone(&shared.log))
        .clock(move || UnixTime::since_unix_epoch(Duration::from_secs(clock)))
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1]);
    let mut trusted = "root";
    for setting in settings.iter().cloned() {
        builder = match setting {
            Setting::Version(version) => builder.min_version(version).max_version(version),
            Setting::Versions(min, max) => builder.min_version(min).max_version(max),
            Setting::Suites(suites) => builder.cipher_suites(suites),
            Setting::Groups(groups) => builder.groups(groups),
            Setting::KeyShares(groups) => builder.key_shares(groups),
            Setting::Schemes(schemes) => builder.signature_schemes(schemes),
            Setting::Alpn(protocols) => builder.alpn(protocols),
            Setting::Certificate(name) => builder.certificate(certified(name)),
            Setting::SendServerName(on) => builder.send_server_name(on),
            Setting::MiddleboxCompatibility(on) => builder.middlebox_compatibility(on),
            Setting::SessionCache => builder.session_cache(Arc::clone(&shared.cache) as _),
            Setting::AllowMissingExtendedMainSecret => builder.allow_missing_extended_main_secret(),
            Setting::AllowMissingRenegotiationInfo => builder.allow_missing_renegotiation_info(),
            Setting::Roots(name) => {
                trusted = name;
                builder
            }
            other => panic!("{other:?} is not for clients"),
        };
    }
    builder
        .roots(roots(trusted))
        .build()
        .expect("the settings fit together")
}

/// A server with these settings.
///
/// # Panics
/// If they do not fit together.
#[must_use]
pub fn server_config(settings: &[Setting], shared: &Shared) -> ServerConfig {
    let clock = shared.clock;
    let mut builder = ServerConfig::builder()
        .key_log(Arc::clone(&shared.log))
        .ticket_keys(Arc::clone(&shared.ticket_keys))
        .replay_guard(Arc::clone(&shared.replay_guard))
        .clock(move || UnixTime::since_unix_epoch(Duration::from_secs(clock)))
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1]);
    let (mut identities, mut trusted, mut auth) = (Vec::new(), "root", None);
    for setting in settings.iter().cloned() {
        builder = match setting {
            Setting::Version(version) => builder.min_version(version).max_version(version),
            Setting::Versions(min, max) => builder.min_version(min).max_version(max),
            Setting::Suites(suites) => builder.cipher_suites(suites),
            Setting::Groups(groups) => builder.groups(groups),
            Setting::Schemes(schemes) => builder.signature_schemes(schemes),
            Setting::Alpn(protocols) => builder.alpn(protocols),
            Setting::Tickets(count) => builder.tickets(count),
            Setting::MaxEarlyData(bytes) => builder.max_early_data(bytes),
            Setting::SessionStore => builder.session_store(Arc::clone(&shared.store) as _),
            Setting::AllowMissingExtendedMainSecret => builder.allow_missing_extended_main_secret(),
            Setting::Certificate(name) => {
                identities.push(name);
                builder
            }
            Setting::Roots(name) => {
                trusted = name;
                builder
            }
            Setting::ClientAuth { required } => {
                auth = Some(required);
                builder
            }
            other => panic!("{other:?} is not for servers"),
        };
    }
    let builder = match auth {
        Some(true) => builder.client_roots(roots(trusted)),
        Some(false) => builder.client_auth(ClientAuth::requested(Arc::new(WebPkiVerifier::new(roots(
            trusted,
        ))))),
        None => builder,
    };
    if identities.is_empty() {
        identities.push("p256");
    }
    let certificates = identities.into_iter().map(certified);
    certificates
        .fold(builder, tls_core::ServerConfigBuilder::certificate)
        .build()
        .expect("the settings fit together")
}
