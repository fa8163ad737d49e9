//! The hooks of the library as the runner's flags ask for them. With `-async` all of them answer later.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tls_core::{
    AlertDescription, Answer, CertificateDer, CertificateError, CertificateQuery, CertificateResolver,
    CertifiedKey, ClientHello, ClientSession, ClientSessionCache, ConfigSelector, ConnectionContext,
    ExpectedPeer, ExtensionType, HookError, KeyLog, MemoryCertificates, PeerVerified, PeerVerifier,
    PrivateKey, ProtocolVersion, ServerConfig, ServerSessionStore, SessionKey, SignatureScheme, SigningKey,
    StoredSession, VerifyRequest, Zeroizing,
};

use crate::expect::{Unexpected, check_client_hello, require};
use crate::flags::{Expect, Options};

/// The answer now, or after one turn of the executor.
fn answer<'a, T: Send + 'a>(asynchronous: bool, value: T) -> Answer<'a, T> {
    if !asynchronous {
        return Answer::Now(value);
    }
    let mut value = Some(value);
    let mut asked = false;
    Answer::later(poll_fn(move |_| {
        match core::mem::replace(&mut asked, true).then(|| value.take()) {
            Some(Some(value)) => Poll::Ready(value),
            _ => Poll::Pending,
        }
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts any chain, or none. Like BoringSSL it does not look again at the chain of a session unless told to.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) options: Options,
    /// What holds for the chain of a server that did not resume, if early data was offered to it.
    pub(crate) retry_fails: Option<bool>,
    pub(crate) accepted: Arc<Mutex<Vec<Vec<CertificateDer<'static>>>>>,
    pub(crate) refused: Arc<AtomicBool>,
    pub(crate) calls: AtomicUsize,
}

impl Verifier {
    fn judge(&self, request: &VerifyRequest<'_>) -> Result<PeerVerified, CertificateError> {
        let options = &self.options;
        let is_retry = self.calls.fetch_add(1, Ordering::Relaxed) > 0;
        let certificates = &request.chain.certificates;
        let mut accepted = lock(&self.accepted);
        if !options.reverify_on_resume && accepted.contains(certificates) && !is_retry {
            return Ok(PeerVerified::assertion());
        }
        let refuse = |what: &str, alert| Err(CertificateError::PolicyWithAlert(what.into(), alert));
        let fails = match self.retry_fails {
            Some(fails) if is_retry => fails || options.verify_fails,
            _ => options.verify_fails,
        };
        // Without any of these BoringSSL has the result, and goes on.
        let is_final = options.custom_verifier || options.verify_peer || options.require_client_certificate;
        self.refused.store(fails, Ordering::Relaxed);
        if fails && is_final {
            return match options.custom_verifier {
                true => refuse("the runner refuses it", AlertDescription::CERTIFICATE_UNKNOWN),
                false => refuse("the runner refuses it", AlertDescription::HANDSHAKE_FAILURE),
            };
        }
        if matches!(request.expected, ExpectedPeer::Server(_)) && options.judge_ocsp && options.fail_ocsp {
            return refuse(
                "the runner refuses its OCSP response",
                AlertDescription::BAD_CERTIFICATE_STATUS_RESPONSE,
            );
        }
        accepted.push(certificates.clone());
        Ok(PeerVerified::assertion())
    }
}

impl PeerVerifier for Verifier {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        answer(self.options.asynchronous, self.judge(request))
    }
}

/// A client's last session.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    last: Mutex<Option<ClientSession>>,
}

impl Sessions {
    pub(crate) fn set(&self, session: Option<ClientSession>) {
        *lock(&self.last) = session;
    }
}

/// [`Sessions`] for one connection.
#[derive(Debug)]
pub(crate) struct SessionCache {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) asynchronous: bool,
}

impl ClientSessionCache for SessionCache {
    fn take<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        answer(self.asynchronous, Ok(lock(&self.sessions.last).clone()))
    }

    fn put<'a>(
        &'a self,
        _: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.sessions.set(Some(session));
        answer(self.asynchronous, Ok(()))
    }

    fn remove<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        answer(self.asynchronous, Ok(()))
    }
}

/// A server's sessions by id, over all connections.
#[derive(Default)]
pub(crate) struct Store {
    sessions: Mutex<HashMap<Vec<u8>, Zeroizing<Vec<u8>>>>,
    /// Whether a session was put in since [`Self::had_new`] was last asked.
    new: AtomicBool,
}

impl Store {
    pub(crate) fn had_new(&self) -> bool {
        self.new.swap(false, Ordering::Relaxed)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// [`Store`] for one connection.
#[derive(Debug)]
pub(crate) struct SessionStore {
    pub(crate) store: Arc<Store>,
    pub(crate) asynchronous: bool,
}

impl ServerSessionStore for SessionStore {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        _: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        lock(&self.store.sessions).insert(id.to_vec(), session);
        self.store.new.store(true, Ordering::Relaxed);
        answer(self.asynchronous, Ok(()))
    }

    fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        answer(self.asynchronous, Ok(lock(&self.store.sessions).get(id).cloned()))
    }

    fn take<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        answer(self.asynchronous, Ok(lock(&self.store.sessions).remove(id)))
    }
}

/// A key that signs with the schemes of `-signing-prefs` only.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) key: SigningKey,
    pub(crate) schemes: Vec<SignatureScheme>,
    pub(crate) asynchronous: bool,
}

impl PrivateKey for Signer {
    fn schemes(&self) -> &[SignatureScheme] {
        &self.schemes
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        let signature = self.key.sign(scheme, message).map_err(HookError::from);
        answer(self.asynchronous, signature)
    }
}

/// Chooses among the credentials as the library does, and remembers what it chose.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) all: Vec<CertifiedKey>,
    /// For those that are to be presented to a peer alone that names their issuer.
    pub(crate) must_match: Vec<bool>,
    pub(crate) expect: Expect,
    pub(crate) fails: bool,
    pub(crate) asynchronous: bool,
    pub(crate) chosen: Arc<Mutex<Option<usize>>>,
}

impl Resolver {
    async fn choose(
        &self,
        query: &CertificateQuery<'_>,
        context: &ConnectionContext,
    ) -> Result<Option<Arc<CertifiedKey>>, HookError> {
        if query.client_hello.is_none() {
            if let Some(expected) = &self.expect.client_authorities {
                require("certificate authorities", expected.as_slice(), query.authorities)?;
            }
            if let Some(expected) = &self.expect.certificate_types {
                require("certificate types", expected.as_slice(), query.certificate_types)?;
            }
            if !self.expect.peer_verify_schemes.is_empty() {
                let expected = self.expect.peer_verify_schemes.as_slice();
                require("signature_algorithms", expected, query.schemes)?;
            }
        }
        if self.fails {
            return Err("the runner wants the certificate callback to fail".into());
        }
        answer(self.asynchronous, ()).wait().await;
        let mut usable = Vec::new();
        let mut must_match = self.must_match.iter();
        for certified in &self.all {
            if must_match.next() != Some(&true) || is_issued_by_any(certified, query.authorities) {
                usable.push(certified.clone());
            }
        }
        if usable.is_empty() && !self.all.is_empty() {
            let what = "no credential's issuer is among the authorities";
            return Err(HookError::with_alert(what, AlertDescription::HANDSHAKE_FAILURE));
        }
        // Of those that are left the first: their issuers are no matter any more.
        let mut query_of_any = *query;
        query_of_any.authorities = &[];
        let chooser = MemoryCertificates::new(usable);
        let chosen = chooser.resolve(&query_of_any, context).wait().await?;
        let position = |certified: &Arc<CertifiedKey>| {
            let same = |one: &CertifiedKey| std::ptr::addr_eq(one.key(), certified.key());
            self.all.iter().position(same)
        };
        *lock(&self.chosen) = chosen.as_ref().and_then(position);
        if query.client_hello.is_none() && chosen.is_none() && !self.all.is_empty() {
            // The library would answer without a certificate. BoringSSL gives up, if it has one that cannot be used.
            let what = "no credential fits the CertificateRequest";
            return Err(HookError::with_alert(what, AlertDescription::HANDSHAKE_FAILURE));
        }
        Ok(chosen)
    }
}

impl CertificateResolver for Resolver {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        Answer::later(self.choose(query, context))
    }
}

/// Whether one of these authorities has issued a certificate of the chain.
fn is_issued_by_any(certified: &CertifiedKey, authorities: &[Vec<u8>]) -> bool {
    certified.chain().iter().any(|certificate| {
        x509_parser::parse_x509_certificate(certificate)
            .is_ok_and(|(_, read)| authorities.iter().any(|name| name == read.issuer().as_raw()))
    })
}

trait Wait<T> {
    async fn wait(self) -> T;
}

impl<T> Wait<T> for Answer<'_, T> {
    async fn wait(self) -> T {
        match self {
            Self::Now(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

/// Looks at each ClientHello, and decides where its session will be kept: in a ticket if the client takes one.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) options: Options,
    /// Or why there is none.
    pub(crate) with_tickets: Result<ServerConfig, String>,
    pub(crate) with_store: Result<ServerConfig, String>,
}

impl ConfigSelector for Selector {
    fn select<'a>(
        &'a self,
        hello: &'a ClientHello,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, HookError>> {
        let selected = self.choose(hello);
        answer(self.options.asynchronous, selected)
    }
}

impl Selector {
    fn choose(&self, hello: &ClientHello) -> Result<ServerConfig, HookError> {
        if self.options.fail_early_callback {
            let what = "the runner wants the client refused";
            return Err(HookError::with_alert(what, AlertDescription::HANDSHAKE_FAILURE));
        }
        check_client_hello(&self.options.expect, hello)?;
        let is_tls13 = hello.supported_versions().contains(&ProtocolVersion::TLS13);
        let ticket = hello.extension(ExtensionType::SESSION_TICKET);
        // A session that the client names by its id is found by that, whether or not it would like a ticket.
        let takes_ticket = ticket.is_some_and(|ticket| !ticket.is_empty() || hello.session_id().is_empty());
        let selected = match is_tls13 || (takes_ticket && !self.options.no_ticket) {
            true => self.with_tickets.clone(),
            false => self.with_store.clone(),
        };
        selected.map_err(HookError::from)
    }
}

impl From<Unexpected> for String {
    fn from(unexpected: Unexpected) -> Self {
        unexpected.0
    }
}

/// Keeps the secrets for `-export-traffic-secrets`.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<HashMap<String, Vec<u8>>>);

impl Secrets {
    pub(crate) fn get(&self, label: &str) -> Vec<u8> {
        lock(&self.0).get(label).cloned().unwrap_or_default()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8; 32], secret: &[u8]) {
        lock(&self.0).insert(label.to_owned(), secret.to_vec());
    }
}
