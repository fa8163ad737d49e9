//! Servers that ask their clients for a certificate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod authorities;
mod handshake;
mod proof;
mod refusals;
mod resumption;
mod stream;
mod tickets;

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tls_core::{
    AlertDescription, Answer, CertificateError, ClientAuth, ClientConfig, ConnectionContext, Error,
    ErrorKind, ExpectedPeer, PeerVerified, PeerVerifier, ProtocolVersion, RevocationLists, RootStore,
    ServerConfig, ServerConfigBuilder, Side, VerifyRequest, WebPkiVerifier,
};
use tls_tests::pair::{self, Ends, NAME, Pair, authority, certified, name, roots};
use tls_tests::pki::{Identity, KeyType, Leaf};
use tls_tests::versions::Only;
use tls_tokio::MemorySessionCache;

type A = AlertDescription;

/// A client's leaf that nothing is wrong with.
fn good() -> Leaf {
    Leaf::new(KeyType::P256, &["client.test"]).client()
}

fn issue(leaf: &Leaf) -> Identity {
    authority().issue(leaf)
}

/// What verifies clients here by default.
fn web_pki() -> Arc<WebPkiVerifier> {
    Arc::new(WebPkiVerifier::new(roots()))
}

fn with_lists(lists: &str) -> Arc<WebPkiVerifier> {
    let lists = RevocationLists::from_pem(lists.as_bytes()).unwrap();
    Arc::new(WebPkiVerifier::new(roots()).revocation_lists(lists))
}

/// A client with this certificate, and a cache.
fn client(version: ProtocolVersion, identity: Option<&Identity>) -> ClientConfig {
    let client = pair::client()
        .session_cache(Arc::new(MemorySessionCache::new(16)))
        .only(version);
    match identity {
        Some(identity) => client.certificate(certified(identity)),
        None => client,
    }
    .build()
    .unwrap()
}

fn server(version: ProtocolVersion) -> ServerConfigBuilder {
    pair::server().only(version)
}

fn requiring(version: ProtocolVersion) -> ServerConfig {
    server(version).client_roots(roots()).build().unwrap()
}

/// What a server learned of a client, which the client's certificate must be.
fn check_identity(ends: &Ends, expected: Option<&Identity>) {
    let negotiated = ends.server.negotiated();
    let expected = expected.map(Identity::chain).unwrap_or_default();
    assert_eq!(negotiated.peer_certificates(), expected);
    assert_eq!(negotiated.peer_chain().is_some(), !expected.is_empty());
    let names = negotiated.peer_names().map(|names| names.dns_names);
    assert_eq!(
        names,
        (!expected.is_empty()).then(|| vec!["client.test".to_owned()])
    );
    let names = ends.client.negotiated().peer_names().unwrap();
    assert_eq!(names.dns_names, [NAME]);
    assert_eq!(
        ends.client.negotiated().peer_certificates().len(),
        2,
        "the server's chain is as ever"
    );
}

/// Runs a handshake, checks that data flows, and keeps the client's sessions: whether it was a resumption.
fn meet(client: &ClientConfig, server: &ServerConfig, identity: Option<&Identity>) -> bool {
    let mut ends = Pair::new(client, server).run().established();
    ends.check(b"data");
    ends.check_agreement();
    check_identity(&ends, identity);
    keep(client, &mut ends);
    let resumed = ends.server.negotiated().is_resumed();
    assert_eq!(ends.client.negotiated().is_resumed(), resumed);
    resumed
}

/// How many sessions came; they are in the cache then.
fn keep(client: &ClientConfig, ends: &mut Ends) -> usize {
    ends.client.reader.process().unwrap();
    let (key, cache) = (client.session_key(&name(NAME)), client.sessions().unwrap());
    let mut count = 0;
    while let Some(session) = ends.client.reader.take_session() {
        assert!(matches!(
            cache.put(&key, session, &ConnectionContext::new()),
            Answer::Now(Ok(()))
        ));
        count += 1;
    }
    count
}

/// The session that the client would use next; it is gone from the cache then if it is of TLS 1.3.
fn take(client: &ClientConfig) -> tls_core::ClientSession {
    let (key, cache) = (client.session_key(&name(NAME)), client.sessions().unwrap());
    match cache.take(&key, &ConnectionContext::new()) {
        Answer::Now(taken) => taken.unwrap().expect("a session"),
        Answer::Later(_) => panic!("it is in memory"),
    }
}

fn put(client: &ClientConfig, session: tls_core::ClientSession) {
    let (key, cache) = (client.session_key(&name(NAME)), client.sessions().unwrap());
    assert!(matches!(
        cache.put(&key, session, &ConnectionContext::new()),
        Answer::Now(Ok(()))
    ));
}

fn refusal(error: &Error) -> &CertificateError {
    match error.kind() {
        ErrorKind::Certificate(why) => why,
        other => panic!("{other}"),
    }
}

/// What a verifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Accept,
    AcceptLater,
    Refuse,
    RefuseLater,
    Never,
}

/// Answers as it is told, which may change, and counts.
#[derive(Debug)]
struct Told {
    how: Mutex<How>,
    asked: AtomicUsize,
}

impl Told {
    fn to(how: How) -> Arc<Self> {
        Arc::new(Self {
            how: Mutex::new(how),
            asked: AtomicUsize::new(0),
        })
    }

    fn set(&self, how: How) {
        *self.how.lock().unwrap() = how;
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

impl PeerVerifier for Told {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        assert!(matches!(request.expected, ExpectedPeer::Client));
        assert_eq!(context.server_name(), Some(NAME));
        self.asked.fetch_add(1, Relaxed);
        let how = *self.how.lock().unwrap();
        let answer = move || match how {
            How::Accept | How::AcceptLater => Ok(PeerVerified::assertion()),
            _ => Err(CertificateError::Policy("not this client".into())),
        };
        match how {
            How::Accept | How::Refuse => Answer::Now(answer()),
            How::AcceptLater | How::RefuseLater | How::Never => Answer::later(async move {
                let mut polls = 0;
                poll_fn(|_| {
                    polls += 1;
                    match polls > 3 && how != How::Never {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
                answer()
            }),
        }
    }
}

/// A clock to set.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(UnixTime::now().as_secs())))
    }

    fn clock(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let hands = self.0.clone();
        move || UnixTime::since_unix_epoch(Duration::from_secs(hands.load(Relaxed)))
    }

    /// In milliseconds, for caches.
    fn cache(&self) -> Arc<MemorySessionCache> {
        let clock = self.clock();
        let clock = move || clock().as_secs() * 1000;
        let cache = MemorySessionCache::new(16).with_time_to_live(Duration::from_secs(1 << 30));
        Arc::new(cache.with_clock(clock))
    }

    fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}
