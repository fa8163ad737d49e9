//! Everything a handshake may have to wait for, as object-safe traits whose answers may come later.
//!
//! A hook answers with an [`Answer`]: at once, without allocating, or by a future that the handshake polls on its
//! own task. Either way it is under the handshake's deadline, and dropped with the handshake. A hook's future must
//! not block its thread; wrap blocking work (a PKCS#11 token, a file) in the runtime's `spawn_blocking`.

mod certificates;
mod key_log;
mod replay_guard;
mod sessions;
mod store_key;
mod ticket_keys;
mod verifier;

use core::any::Any;
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::Pin;
use std::sync::Arc;

use rustls_pki_types::{ServerName, UnixTime};

use crate::error::{CertificateError, HookError};
use crate::messages::client_hello::ClientHello;
use crate::registry::SignatureScheme;

pub use certificates::{CertifiedKey, MemoryCertificates};
pub use key_log::{KeyLog, KeyLogFile};
pub use replay_guard::MemoryReplayGuard;
pub use sessions::{
    ClientSessionCache, NoReplayGuard, NoSessions, ReplayGuard, ServerSessionStore, SessionKey,
    StoredSession, TicketKey, TicketKeys,
};
pub use store_key::{StoreKey, StorePurpose};
pub use ticket_keys::RotatingTicketKeys;
pub use verifier::{AcceptAnyCertificate, PinnedCertificate, WebPkiVerifier};

pub use crate::verify::PeerChain;

/// An answer that is ready now (no allocation) or will be later.
///
/// ```
/// use tls_core::Answer;
///
/// let now: Answer<'_, u32> = Answer::Now(1);
/// let later: Answer<'_, u32> = Answer::later(async { 2 });
/// assert!(matches!(now, Answer::Now(1)) && matches!(later, Answer::Later(_)));
/// ```
#[must_use = "an answer that comes later does nothing unless it is awaited"]
pub enum Answer<'a, T> {
    /// The answer itself.
    Now(T),
    /// A future that gives it. Dropped, unfinished, when the handshake ends first.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

/// What [`Answer::Later`] holds.
type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The same future, with a span around its polls where somebody wants one. (Only then in a box of its own: a span kept
/// beside it would make every handshake's future larger.)
pub(crate) fn in_span<'a, T: 'a>(hook: &'static str, mut future: Later<'a, T>) -> Later<'a, T> {
    let span = tracing::debug_span!(target: "tls_core::hook", "hook", hook);
    if span.is_disabled() {
        return future;
    }
    Box::pin(poll_fn(move |cx| span.in_scope(|| future.as_mut().poll(cx))))
}

impl<'a, T> Answer<'a, T> {
    /// An answer that this future will give.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl<T> fmt::Debug for Answer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Answer::Now",
            Self::Later(_) => "Answer::Later",
        })
    }
}

/// What is known of a connection besides its handshake: every hook is given it.
///
/// ```
/// use tls_core::ConnectionContext;
///
/// struct Tenant(u32);
///
/// let context = ConnectionContext::new()
///     .with_peer_address("192.0.2.1:443".parse().unwrap())
///     .with_data(Tenant(7));
/// // In a hook:
/// assert!(context.data::<Tenant>().is_some_and(|tenant| tenant.0 == 7));
/// ```
#[derive(Clone, Default)]
pub struct ConnectionContext {
    peer_address: Option<SocketAddr>,
    server_name: Option<String>,
    data: Option<Arc<dyn Any + Send + Sync>>,
}

impl ConnectionContext {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the peer's transport address.
    #[must_use]
    pub fn with_peer_address(mut self, address: SocketAddr) -> Self {
        self.peer_address = Some(address);
        self
    }

    /// Attaches a value of the caller's own, to be found again with [`Self::data`] in every hook.
    #[must_use]
    pub fn with_data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Some(Arc::new(data));
        self
    }

    /// The peer's transport address, where the caller gave it.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// The name the client asks for (RFC 6066 section 3): on a server known once the ClientHello was read.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The caller's own value, if one of this type was attached.
    #[must_use]
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.as_deref()?.downcast_ref()
    }

    pub(crate) fn set_server_name(&mut self, name: Option<String>) {
        self.server_name = name;
    }
}

impl fmt::Debug for ConnectionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionContext")
            .field("peer_address", &self.peer_address)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Asked on either side when a certificate is to be presented: which chain and key?
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{Answer, CertificateQuery, CertificateResolver, CertifiedKey, ConnectionContext, HookError};
///
/// #[derive(Debug)]
/// struct ByName {
///     ours: Arc<CertifiedKey>,
///     theirs: Arc<CertifiedKey>,
/// }
///
/// impl CertificateResolver for ByName {
///     fn resolve<'a>(
///         &'a self,
///         query: &'a CertificateQuery<'a>,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
///         Answer::Now(Ok(match query.server_name {
///             Some("ours.example") => Some(Arc::clone(&self.ours)),
///             Some("theirs.example") => Some(Arc::clone(&self.theirs)),
///             _ => None,
///         }))
///     }
/// }
/// ```
pub trait CertificateResolver: fmt::Debug + Send + Sync {
    /// Chooses what to present, or `None` where nothing fits: a server then refuses the handshake, a client answers
    /// with an empty Certificate.
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>>;
}

/// What a [`CertificateResolver`] has to go by.
///
/// Example: that of [`CertificateResolver`](crate::CertificateResolver).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CertificateQuery<'a> {
    /// The name the client asks for; `None` on a client.
    pub server_name: Option<&'a str>,
    /// The peer's signature schemes that may sign this handshake, in its order of preference.
    pub schemes: &'a [SignatureScheme],
    /// Distinguished names (DER) of the authorities the peer trusts; empty where it did not say (section 4.2.4).
    pub authorities: &'a [Vec<u8>],
    /// The kinds of certificate that a server of TLS 1.2 accepts, as it names them (RFC 5246 7.4.4: 1 is RSA, 64
    /// ECDSA). The schemes are those of these kinds already. Empty on a server, and in TLS 1.3.
    pub certificate_types: &'a [u8],
    /// The whole ClientHello; `None` on a client.
    pub client_hello: Option<&'a ClientHello>,
}

/// A key that signs handshakes: in memory, or wherever it may be (KMS, HSM, agent).
///
/// ```
/// use tls_core::{Answer, ConnectionContext, HookError, PrivateKey, SignatureScheme};
///
/// /// A key that never leaves a service.
/// #[derive(Debug)]
/// struct Remote;
///
/// impl PrivateKey for Remote {
///     fn schemes(&self) -> &[SignatureScheme] {
///         &[SignatureScheme::ECDSA_SECP256R1_SHA256]
///     }
///
///     fn sign<'a>(
///         &'a self,
///         _: SignatureScheme,
///         message: &'a [u8],
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<Vec<u8>, HookError>> {
///         Answer::later(ask(message))
///     }
/// }
/// # async fn ask(_: &[u8]) -> Result<Vec<u8>, HookError> { Err("not here".into()) }
/// ```
pub trait PrivateKey: fmt::Debug + Send + Sync {
    /// The schemes this key can sign with, best first.
    fn schemes(&self) -> &[SignatureScheme];

    /// Signs `message` with `scheme`, one of [`Self::schemes`]. For ECDSA the signature is DER encoded
    /// (section 4.2.3).
    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>>;

    /// Whether signatures need no check before they are sent. A faulty RSA signature can give the key away, so
    /// signatures from outside are verified against the certificate first (25-85 µs); the built-in key checks its
    /// own where it matters.
    fn is_self_checking(&self) -> bool {
        false
    }
}

/// Decides whether a peer's chain is good. The signature over the handshake is not its business: that is always
/// checked, whatever the verifier.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{
///     Answer, CertificateError, CertificateNames, ConnectionContext, PeerVerified, PeerVerifier, VerifyRequest,
///     WebPkiVerifier,
/// };
///
/// /// Verifies clients as usual, and lets in those of one domain only.
/// #[derive(Debug)]
/// struct OfOurs(Arc<WebPkiVerifier>);
///
/// impl PeerVerifier for OfOurs {
///     fn verify<'a>(
///         &'a self,
///         request: &'a VerifyRequest<'a>,
///         context: &'a ConnectionContext,
///     ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
///         Answer::later(async move {
///             let verified = match self.0.verify(request, context) {
///                 Answer::Now(verified) => verified,
///                 Answer::Later(verified) => verified.await,
///             };
///             let names = request.chain.names().unwrap_or_default();
///             match names.dns_names.iter().any(|name| name.ends_with(".ours.example")) {
///                 true => verified,
///                 false => Err(CertificateError::Policy("not one of ours".to_owned())),
///             }
///         })
///     }
/// }
/// ```
pub trait PeerVerifier: fmt::Debug + Send + Sync {
    /// Accepts the chain with [`PeerVerified::assertion`], or refuses it with an error that becomes an alert.
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>>;

    /// Whether a chain that was accepted before, for the same name by this verifier or one of the same security
    /// domain, is so now without another look at signatures and names: a client asks before it resumes a session, and
    /// only then asks [`Self::verify`]. Answers at once. `false`, the default, has every chain verified again; what
    /// accepts chains by more than certificates, name and time (revocation, a list that changes) should stay with it.
    fn still_accepts(&self, request: &VerifyRequest<'_>) -> bool {
        let _ = request;
        false
    }

    /// A digest that two verifiers share only if they accept the same chains: a client then uses sessions of the one
    /// with the other. `None`, the default, keeps the sessions of each configuration to itself.
    fn security_domain(&self) -> Option<[u8; 32]> {
        None
    }

    /// The distinguished names (DER of the whole `Name`) of the authorities it trusts, for a server to tell its
    /// clients when it asks for a certificate (section 4.2.4). Asked once, when the configuration is built. Default:
    /// none.
    fn authorities(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// What a [`PeerVerifier`] has to go by.
///
/// Example: that of [`PeerVerifier`](crate::PeerVerifier).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifyRequest<'a> {
    /// What the peer presented: at least one certificate, the end entity's first.
    pub chain: &'a PeerChain,
    /// Whom it must be good for.
    pub expected: ExpectedPeer<'a>,
    /// The time by the configuration's clock.
    pub now: UnixTime,
}

impl<'a> VerifyRequest<'a> {
    /// A request to verify this chain.
    #[must_use]
    pub fn new(chain: &'a PeerChain, expected: ExpectedPeer<'a>, now: UnixTime) -> Self {
        Self { chain, expected, now }
    }
}

/// Whom a chain must be good for.
///
/// Example: that of [`PeerVerifier`](crate::PeerVerifier).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ExpectedPeer<'a> {
    /// A server of this name or address.
    Server(&'a ServerName<'static>),
    /// A client; it has no expected name.
    Client,
}

/// Proof that a [`PeerVerifier`] accepted a chain. Only a verifier has a reason to make one.
///
/// Example: that of [`PeerVerifier`](crate::PeerVerifier).
#[derive(Debug)]
pub struct PeerVerified(());

impl PeerVerified {
    /// Asserts that the chain in question was verified by the caller.
    #[must_use]
    pub fn assertion() -> Self {
        Self(())
    }
}
