//! Hooks that take their time: what waits for one holds up nobody else, and none is waited for without end. On Tokio's
//! paused clock, which hooks alone let go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tls_core::{
    Answer, CertificateError, CertificateQuery, CertificateResolver, CertifiedKey, ClientAuth, ClientConfig,
    ClientHello, ConfigSelector, ConnectionContext, HookError, MemoryCertificates, PeerVerified,
    PeerVerifier, Phase, PrivateKey, ProtocolVersion, ServerConfig, Side, SignatureScheme, SigningKey,
    VerifyRequest, WebPkiVerifier,
};
use tls_tests::both_versions;
use tls_tests::ear::Ear;
use tls_tests::pair::{NAME, authority, client, identity, name, roots};
use tls_tests::pki::{Identity, KeyType, Leaf};
use tls_tests::versions::Only;
use tls_tokio::{Error, TlsAcceptor, TlsConnector};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, timeout};

both_versions!(
    async a_thousand_handshakes_wait_for_their_hooks_at_the_same_time,
    a_hook_that_never_answers_ends_at_the_deadline_by_name_and_is_dropped,
    a_handshake_that_is_dropped_drops_the_hook_it_waits_for,
    each_hook_that_is_waited_for_is_a_span_within_that_of_its_handshake,
);

/// How long each hook takes.
const DELAY: Duration = Duration::from_millis(50);

/// All hooks of a handshake with certificates on both sides, in the order in which they are asked.
const HOOKS: [(&str, Side); 7] = [
    ("ConfigSelector", Side::Server),
    ("CertificateResolver", Side::Server),
    ("PrivateKey", Side::Server),
    ("PeerVerifier", Side::Client),
    ("CertificateResolver", Side::Client),
    ("PrivateKey", Side::Client),
    ("PeerVerifier", Side::Server),
];

/// What a hook does before it answers as it should; and who waits for it.
#[derive(Clone, Debug)]
struct Slow {
    delay: Option<Duration>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
}

impl Slow {
    /// `None`: never.
    fn by(delay: Option<Duration>) -> Self {
        Self {
            delay,
            counts: Arc::default(),
        }
    }

    fn then<'a, T: Send + 'a>(&'a self, answer: impl FnOnce() -> Answer<'a, T> + Send + 'a) -> Answer<'a, T> {
        Answer::later(async move {
            let waiting = Waiting::new(&self.counts);
            match self.delay {
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
            drop(waiting);
            self.counts.answered.fetch_add(1, Relaxed);
            match answer() {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => answer.await,
            }
        })
    }
}

struct Waiting<'a>(&'a Counts);

impl<'a> Waiting<'a> {
    fn new(counts: &'a Counts) -> Self {
        let waiting = counts.waiting.fetch_add(1, Relaxed) + 1;
        counts.most.fetch_max(waiting, Relaxed);
        Self(counts)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// A hook behind a [`Slow`].
#[derive(Debug)]
struct Behind<T>(Slow, T);

impl ConfigSelector for Behind<ServerConfig> {
    fn select<'a>(
        &'a self,
        _: &'a ClientHello,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, HookError>> {
        self.0.then(|| Answer::Now(Ok(self.1.clone())))
    }
}

impl CertificateResolver for Behind<MemoryCertificates> {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        self.0.then(|| self.1.resolve(query, context))
    }
}

impl PrivateKey for Behind<SigningKey> {
    fn schemes(&self) -> &[SignatureScheme] {
        self.1.schemes()
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        self.0
            .then(move || PrivateKey::sign(&self.1, scheme, message, context))
    }
}

impl PeerVerifier for Behind<WebPkiVerifier> {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        self.0.then(|| self.1.verify(request, context))
    }
}

/// Chain and key behind a key and a resolver, each of which does so.
fn resolver(identity: &Identity, resolver: Slow, key: Slow) -> Arc<Behind<MemoryCertificates>> {
    let key = Behind(key, SigningKey::from_der(&identity.key()).unwrap());
    let certified = CertifiedKey::new(identity.chain(), Arc::new(key)).unwrap();
    Arc::new(Behind(resolver, MemoryCertificates::new([certified])))
}

/// Client and server with certificates and all hooks of [`HOOKS`], which do so.
fn with_hooks(version: ProtocolVersion, hooks: &[Slow; 7]) -> (ClientConfig, ServerConfig) {
    let [
        selector,
        server_resolver,
        server_key,
        client_verifier,
        client_resolver,
        client_key,
        server_verifier,
    ] = hooks.clone();
    let verifier = |slow| Arc::new(Behind(slow, WebPkiVerifier::new(roots())));
    let leaf = Leaf::new(KeyType::P256, &["client.test"]).client();
    let selected = ServerConfig::builder()
        .certificate_resolver(resolver(&identity(KeyType::P256), server_resolver, server_key))
        .client_auth(ClientAuth::required(verifier(server_verifier)))
        .tickets(0)
        .build();
    let selector = Behind(selector, selected.unwrap());
    (
        client()
            .only(version)
            .verifier(verifier(client_verifier))
            .certificate_resolver(resolver(&authority().issue(&leaf), client_resolver, client_key))
            .build()
            .unwrap(),
        ServerConfig::builder()
            .config_selector(Arc::new(selector))
            .build()
            .unwrap(),
    )
}

async fn a_thousand_handshakes_wait_for_their_hooks_at_the_same_time(version: ProtocolVersion) {
    const HANDSHAKES: usize = 1000;
    let hooks = HOOKS.map(|_| Slow::by(Some(DELAY)));
    let (client, server) = with_hooks(version, &hooks);
    let (connector, acceptor) = (TlsConnector::new(client), TlsAcceptor::new(server));
    let started = Instant::now();
    let handshakes: Vec<_> = (0..HANDSHAKES)
        .map(|_| {
            let (connector, acceptor) = (connector.clone(), acceptor.clone());
            tokio::spawn(async move {
                let (ours, theirs) = duplex(16 * 1024);
                let (client, server) =
                    tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs));
                (client.unwrap(), server.unwrap())
            })
        })
        .collect();
    for handshake in handshakes {
        handshake.await.unwrap();
    }
    // Of one handshake alone: timers count whole milliseconds.
    let took = started.elapsed();
    let hooks_in_a_row = DELAY * 7;
    assert!(
        took >= hooks_in_a_row && took <= hooks_in_a_row + Duration::from_millis(7),
        "{took:?}"
    );
    for (slow, hook) in hooks.iter().zip(HOOKS) {
        assert_eq!(slow.counts.most.load(Relaxed), HANDSHAKES, "{hook:?}");
        assert_eq!(slow.counts.answered.load(Relaxed), HANDSHAKES, "{hook:?}");
    }
}

/// The hooks, of which the one at this place never answers.
fn never_at(place: usize) -> [Slow; 7] {
    let mut number = 0;
    HOOKS.map(|_| {
        number += 1;
        Slow::by((number != place + 1).then_some(DELAY))
    })
}

async fn a_hook_that_never_answers_ends_at_the_deadline_by_name_and_is_dropped(version: ProtocolVersion) {
    let limit = Duration::from_secs(7);
    for (place, (hook, side)) in HOOKS.into_iter().enumerate() {
        let hooks = never_at(place);
        let (client, server) = with_hooks(version, &hooks);
        let (ours, theirs) = duplex(16 * 1024);
        let (ours_alone, theirs_alone) = match side {
            Side::Client => (Some(limit), None),
            Side::Server => (None, Some(limit)),
        };
        let connector = TlsConnector::new(client).handshake_timeout(ours_alone);
        let acceptor = TlsAcceptor::new(server).handshake_timeout(theirs_alone);
        let started = Instant::now();
        let (error, other) = match side {
            Side::Client => {
                let other = tokio::spawn(async move { drop(acceptor.accept(theirs).await) });
                let failure = connector.connect(name(NAME), ours).await.expect_err(hook);
                (failure.into_parts().0, other)
            }
            Side::Server => {
                let other = tokio::spawn(async move { drop(connector.connect(name(NAME), ours).await) });
                let failure = acceptor.accept(theirs).await.expect_err(hook);
                (failure.into_parts().0, other)
            }
        };
        assert_eq!(started.elapsed().as_secs(), limit.as_secs(), "{hook} {side:?}");
        assert!(error.to_string().contains(hook), "{error}");
        let Error::Timeout(timed_out) = error else {
            panic!("{error}")
        };
        assert_eq!((timed_out.phase, timed_out.side), (Phase::Hook(hook), side));
        let counts = &hooks[place].counts;
        assert_eq!(
            (counts.most.load(Relaxed), counts.waiting.load(Relaxed)),
            (1, 0),
            "{hook} {side:?}"
        );
        other.await.unwrap();
    }
}

async fn a_handshake_that_is_dropped_drops_the_hook_it_waits_for(version: ProtocolVersion) {
    for (place, (hook, side)) in HOOKS.into_iter().enumerate() {
        let hooks = never_at(place);
        let (client, server) = with_hooks(version, &hooks);
        let (ours, theirs) = duplex(16 * 1024);
        let connector = TlsConnector::new(client).handshake_timeout(None);
        let acceptor = TlsAcceptor::new(server).handshake_timeout(None);
        let both = async { tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs)) };
        assert!(
            timeout(Duration::from_secs(3600), both).await.is_err(),
            "{hook} {side:?}"
        );
        for slow in &hooks {
            assert_eq!(slow.counts.waiting.load(Relaxed), 0, "{hook} {side:?}");
        }
        let answered = hooks.each_ref().map(|slow| slow.counts.answered.load(Relaxed));
        // All before it, and none after it.
        assert_eq!(
            answered,
            std::array::from_fn(|number| usize::from(number < place))
        );
        assert_eq!(hooks[place].counts.most.load(Relaxed), 1, "{hook} {side:?}");
    }
}

async fn each_hook_that_is_waited_for_is_a_span_within_that_of_its_handshake(version: ProtocolVersion) {
    for place in [None, Some(0), Some(3), Some(6)] {
        let ear = Ear::default();
        let _listening = ear.listen();
        let hooks = match place {
            Some(place) => never_at(place),
            None => HOOKS.map(|_| Slow::by(Some(DELAY))),
        };
        let (client, server) = with_hooks(version, &hooks);
        let (ours, theirs) = duplex(16 * 1024);
        let waits_in_vain = place.map(|place| HOOKS[place].1);
        let limit = |side| (waits_in_vain == Some(side)).then_some(Duration::from_secs(7));
        let connector = TlsConnector::new(client).handshake_timeout(limit(Side::Client));
        let acceptor = TlsAcceptor::new(server).handshake_timeout(limit(Side::Server));
        // What one side gives up is dropped, so that the other does not wait for it.
        let (_, served) = tokio::join!(async { drop(connector.connect(name(NAME), ours).await) }, async {
            acceptor.accept(theirs).await.map(drop).map_err(drop)
        });
        assert_eq!(served.is_ok(), place.is_none());
        let spans = ear.spans();
        let waits: Vec<_> = spans.iter().filter(|span| span.name == "hook").collect();
        for wait in &waits {
            assert_eq!(
                (wait.target.as_str(), wait.level),
                ("tls_core::hook", tracing::Level::DEBUG)
            );
            // Polled once, and again when it is done or dropped.
            assert!(wait.entered > 0 && wait.closed, "{wait:?}");
            assert_eq!(wait.fields.len(), 1);
        }
        let waited: Vec<_> = waits
            .iter()
            .map(|wait| {
                let handshake = &spans[wait.parent.unwrap()];
                assert_eq!(handshake.name, "tls_handshake");
                (wait.field("hook").unwrap(), handshake.field("side").unwrap())
            })
            .collect();
        let asked = place.map_or(HOOKS.len(), |place| place + 1);
        let expected: Vec<_> = HOOKS[..asked]
            .iter()
            .map(|(hook, side)| (*hook, if *side == Side::Client { "client" } else { "server" }))
            .collect();
        assert_eq!(waited, expected, "{place:?}");
        if let Some(place) = place {
            let timed_out = spans
                .iter()
                .find(|span| span.field("outcome") == Some("timed_out"));
            let error = timed_out.unwrap().field("error").unwrap();
            assert!(error.contains(HOOKS[place].0), "{error}");
        }
    }
}
