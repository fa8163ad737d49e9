//! Configurations of the library from the runner's flags.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use tls_core::{
    CertificateDer, CertifiedKey, ClientAuth, ClientConfig, MemoryReplayGuard, PrivateKeyDer,
    ProtocolVersion, RotatingTicketKeys, ServerConfig, ServerConfigBuilder, SignatureScheme, SigningKey,
    UnixTime,
};

use crate::flags::{Credential, Options};
use crate::hooks::{
    Resolver, Secrets, Selector, SessionCache, SessionStore, Sessions, Signer, Store, Verifier,
};

/// What outlives a connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) store: Arc<Store>,
    ticket_keys: Arc<RotatingTicketKeys>,
    replay_guard: Arc<MemoryReplayGuard>,
    accepted: Arc<Mutex<Vec<Vec<CertificateDer<'static>>>>>,
    /// Whether the last chain that was judged should not have been accepted, but was.
    pub(crate) refused: Arc<AtomicBool>,
    /// Time that the runner wants to have passed.
    pub(crate) elapsed: Duration,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Arc::default(),
            store: Arc::default(),
            ticket_keys: Arc::new(RotatingTicketKeys::new()),
            replay_guard: Arc::new(MemoryReplayGuard::default().with_new_keys()),
            accepted: Arc::default(),
            refused: Arc::default(),
            elapsed: Duration::ZERO,
        }
    }
}

/// A configuration that cannot be made: the library does not offer it, or the runner's files are bad.
pub(crate) type Failure = String;

/// The versions that remain, oldest and newest; `None` where there are none that the library speaks.
pub(crate) fn versions(options: &Options) -> Option<(ProtocolVersion, ProtocolVersion)> {
    let within = |version: &ProtocolVersion| {
        options.min_version.is_none_or(|min| min <= *version)
            && options.max_version.is_none_or(|max| *version <= max)
            && !options.without_version.contains(version)
    };
    let mut left = [ProtocolVersion::TLS12, ProtocolVersion::TLS13]
        .into_iter()
        .filter(within);
    let first = left.next()?;
    Some((first, left.next().unwrap_or(first)))
}

macro_rules! common {
    ($builder:expr, $options:expr, $shared:expr, $secrets:expr) => {{
        let (min, max) = versions($options).ok_or("no version left")?;
        let mut builder = $builder
            .min_version(min)
            .max_version(max)
            .key_log($secrets.clone());
        // Its clock counts seconds: all connections have it, or none.
        if $options.resumption_delay > 0 {
            let elapsed = $shared.elapsed;
            builder = builder.clock(move || {
                let now = Duration::from_secs(UnixTime::now().as_secs());
                UnixTime::since_unix_epoch(now.saturating_add(elapsed))
            });
        }
        if !$options.groups.is_empty() {
            builder = builder.groups($options.groups.iter().copied());
        }
        if !$options.verify_schemes.is_empty() {
            builder = builder.signature_schemes($options.verify_schemes.iter().copied());
        }
        if let Some(bytes) = $options.max_fragment {
            builder = builder.max_fragment(bytes);
        }
        if let Some(bytes) = $options.max_certificate_message {
            builder = builder.max_certificate_message(bytes);
        }
        builder
    }};
}

pub(crate) struct Made<T> {
    pub(crate) config: T,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) credential: Arc<Mutex<Option<usize>>>,
}

/// `retry` are the options after a server has rejected early data, if it may do so.
pub(crate) fn client(
    options: &Options,
    retry: Option<&Options>,
    shared: &Shared,
) -> Result<Made<ClientConfig>, Failure> {
    let secrets = Arc::<Secrets>::default();
    let mut builder = common!(ClientConfig::builder(), options, shared, secrets)
        .verifier(verifier(options, retry.map(|retry| retry.verify_fails), shared))
        .send_server_name(options.host_name.is_some())
        .alpn(&options.advertise_alpn)
        .end_on_hello_request();
    if !options.no_ticket {
        builder = builder.session_cache(Arc::new(SessionCache {
            sessions: Arc::clone(&shared.sessions),
            asynchronous: options.asynchronous,
        }));
    }
    if let Some(shares) = &options.key_shares {
        builder = builder.key_shares(shares.iter().copied());
    }
    if !options.expect.extended_main_secret {
        builder = builder.allow_missing_extended_main_secret();
    }
    if !options.no_legacy_server_connect && !options.expect.secure_renegotiation {
        builder = builder.allow_missing_renegotiation_info();
    }
    let resolver = resolver(options)?;
    let credential = Arc::clone(&resolver.chosen);
    let looks = options.expect.client_authorities.is_some()
        || options.expect.certificate_types.is_some()
        || !options.expect.peer_verify_schemes.is_empty()
        || options.fail_certificate;
    if !options.credentials.is_empty() || looks {
        builder = builder.certificate_resolver(Arc::new(resolver));
    }
    Ok(Made {
        config: builder.build().map_err(|error| error.to_string())?,
        secrets,
        credential,
    })
}

pub(crate) fn server(options: &Options, shared: &Shared) -> Result<Made<ServerConfig>, Failure> {
    let secrets = Arc::<Secrets>::default();
    let resolver = Arc::new(resolver(options)?);
    let credential = Arc::clone(&resolver.chosen);
    let make = || -> Result<ServerConfigBuilder, Failure> {
        let mut builder = common!(ServerConfig::builder(), options, shared, secrets)
            .certificate_resolver(resolver.clone())
            .ticket_keys(shared.ticket_keys.clone())
            .replay_guard(shared.replay_guard.clone())
            .allow_missing_extended_main_secret();
        if options.require_client_certificate || options.verify_peer {
            let verifier = verifier(options, None, shared);
            let mut auth = match options.require_client_certificate && !options.verify_peer {
                true => ClientAuth::required(verifier),
                false => ClientAuth::requested(verifier),
            };
            if let Some(names) = &options.client_authorities {
                auth = auth.authorities(names.iter().cloned());
            }
            builder = builder.client_auth(auth);
        }
        if options.reject_alpn {
            builder = builder.alpn(["none that a test offers"]);
        } else if options.select_empty_alpn {
            builder = builder.alpn([""]);
        } else if let Some(name) = &options.select_alpn {
            builder = builder.alpn([name]);
        }
        if options.ignore_server_name {
            builder = builder.ignore_server_name();
        }
        if options.enable_early_data {
            builder = builder.max_early_data(EARLY_DATA);
        }
        Ok(builder)
    };
    let build = |builder: ServerConfigBuilder| builder.build().map_err(|error| error.to_string());
    let tickets = if options.no_ticket { 0 } else { 2 };
    let selector = Selector {
        options: options.clone(),
        with_tickets: build(make()?.tickets(tickets)),
        with_store: build(make()?.session_store(Arc::new(SessionStore {
            store: Arc::clone(&shared.store),
            asynchronous: options.asynchronous,
        }))),
    };
    Ok(Made {
        config: build(make()?.alpn([""; 0]).config_selector(Arc::new(selector)))?,
        secrets,
        credential,
    })
}

/// Bytes of early data that our tickets allow: BoringSSL's number, which the runner knows.
const EARLY_DATA: u32 = 14_336;

fn verifier(options: &Options, retry_fails: Option<bool>, shared: &Shared) -> Arc<Verifier> {
    Arc::new(Verifier {
        options: options.clone(),
        retry_fails,
        accepted: Arc::clone(&shared.accepted),
        refused: Arc::clone(&shared.refused),
        calls: AtomicUsize::new(0),
    })
}

fn resolver(options: &Options) -> Result<Resolver, Failure> {
    let mut all = Vec::new();
    // In the order of their numbers for the runner, and the default last.
    let (further, default): (Vec<_>, Vec<_>) = options
        .credentials
        .iter()
        .partition(|credential| credential.is_further);
    for credential in further.iter().chain(&default) {
        all.push(certified(credential, options)?);
    }
    Ok(Resolver {
        must_match: further
            .iter()
            .map(|credential| credential.must_match_issuer)
            .collect(),
        all,
        expect: options.expect.clone(),
        fails: options.fail_certificate,
        asynchronous: options.asynchronous,
        chosen: Arc::default(),
    })
}

fn certified(credential: &Credential, options: &Options) -> Result<CertifiedKey, Failure> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&credential.certificates)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", credential.certificates.display()))?;
    let pem = fs::read(&credential.key).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| error.to_string())?;
    let key = SigningKey::from_der(&key).map_err(|error| error.to_string())?;
    let schemes: Vec<SignatureScheme> = match credential.schemes.as_slice() {
        [] => key.schemes().to_vec(),
        wanted => {
            let can = |scheme: &&SignatureScheme| key.schemes().contains(scheme);
            wanted.iter().filter(can).copied().collect()
        }
    };
    let signer = Signer {
        key,
        schemes,
        asynchronous: options.asynchronous,
    };
    let mut made = CertifiedKey::new(chain, Arc::new(signer)).map_err(|error| error.to_string())?;
    if let (Some(response), false) = (&credential.ocsp_response, options.fail_ocsp) {
        made = made.with_ocsp_response(response.clone());
    }
    if let Some(scts) = &credential.scts {
        made = made.with_scts(scts.clone());
    }
    Ok(made)
}
