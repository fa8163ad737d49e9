//! Resumption in TLS 1.2, by ticket and by session id: what resumes, what leads to a full handshake, what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tls_core::{
    AlertDescription, Answer, CipherSuite, ClientConfig, ClientSession, ClientSessionCache,
    ConnectionContext, ErrorKind, HookError, KeyLog, Misbehaviour, NoSessions, ProtocolVersion, RootStore,
    RotatingTicketKeys, ServerConfig, ServerConfigBuilder, ServerSessionStore, SessionKey, Side,
    StoredSession, Zeroizing,
};
use tls_tests::hello::{Hello, record, records};
use tls_tests::pair::{Ends, NAME, Outcome, Pair, certified, certified_for, client, identity, server};
use tls_tests::pki::{Authority, KeyType};
use tls_tests::versions::Only;
use tls_tokio::{MemorySessionCache, MemorySessionStore};

type A = AlertDescription;

const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;
const EXTENDED_MAIN_SECRET: u16 = 23;

/// Where a session's bytes say whether it has the extended main secret.
const FLAGS: usize = 5;

/// One session, for whoever asks.
#[derive(Debug, Default)]
struct Held {
    session: Mutex<Option<ClientSession>>,
    removals: AtomicUsize,
}

impl Held {
    fn get(&self) -> ClientSession {
        self.session.lock().unwrap().clone().expect("a session")
    }

    fn set(&self, session: ClientSession) {
        *self.session.lock().unwrap() = Some(session);
    }

    /// Changes the bytes of the session.
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.get().to_bytes().to_vec();
        change(&mut bytes);
        self.set(ClientSession::from_bytes(&bytes).unwrap());
    }
}

impl ClientSessionCache for Held {
    fn take<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        Answer::Now(Ok(self.session.lock().unwrap().clone()))
    }

    fn put<'a>(
        &'a self,
        _: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.set(session);
        Answer::Now(Ok(()))
    }

    fn remove<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.removals.fetch_add(1, Relaxed);
        *self.session.lock().unwrap() = None;
        Answer::Now(Ok(()))
    }
}

/// A store whose sessions can be changed.
#[derive(Debug, Default)]
struct Stored(Mutex<Vec<(Vec<u8>, Vec<u8>)>>);

impl ServerSessionStore for Stored {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        _: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.0.lock().unwrap().push((id.to_vec(), session.to_vec()));
        Answer::Now(Ok(()))
    }

    fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        let all = self.0.lock().unwrap();
        let found = all.iter().find(|(known, _)| known == id);
        Answer::Now(Ok(found.map(|(_, bytes)| Zeroizing::new(bytes.clone()))))
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.get(id, context)
    }
}

/// How a server makes sessions resumable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Ticket,
    SessionId,
}

const BOTH: [By; 2] = [By::Ticket, By::SessionId];

fn server12(by: By) -> ServerConfigBuilder {
    match by {
        By::Ticket => server(),
        By::SessionId => server().session_store(Arc::new(MemorySessionStore::new(100))),
    }
    .only(ProtocolVersion::TLS12)
}

/// A client of both versions with this cache.
fn client_with(cache: &Arc<Held>) -> ClientConfig {
    client().session_cache(cache.clone()).build().unwrap()
}

/// Two sides, and a session between them in the cache.
fn with_session(by: By) -> (Arc<Held>, ClientConfig, ServerConfig) {
    let cache = Arc::new(Held::default());
    let (client, server) = (client_with(&cache), server12(by).build().unwrap());
    full(&client, &server);
    (cache, client, server)
}

/// Runs a handshake, checks it, and keeps its session.
fn run(pair: Pair<'_>, client: &ClientConfig) -> Ends {
    let mut ends = pair.run().established();
    ends.check(b"data");
    assert_eq!(
        ends.client.negotiated().is_resumed(),
        ends.server.negotiated().is_resumed()
    );
    if let Some(cache) = client.sessions() {
        let key = client.session_key(&tls_tests::pair::name(NAME));
        while let Some(session) = ends.client.reader.take_session() {
            assert!(matches!(
                cache.put(&key, session, &ConnectionContext::new()),
                Answer::Now(Ok(()))
            ));
        }
    }
    ends
}

fn full(client: &ClientConfig, server: &ServerConfig) -> Ends {
    let ends = run(Pair::new(client, server), client);
    assert!(!ends.client.negotiated().is_resumed(), "it was resumed");
    ends
}

fn resumed(client: &ClientConfig, server: &ServerConfig) -> Ends {
    let ends = run(Pair::new(client, server), client);
    assert!(ends.client.negotiated().is_resumed(), "a full handshake");
    ends
}

/// A handshake whose ClientHello or ServerHello is changed on its way.
fn with_hello(
    client: &ClientConfig,
    server: &ServerConfig,
    of: Side,
    change: impl Fn(Hello) -> Hello,
) -> Outcome {
    Pair::new(client, server)
        .mutated(|sender, flight, bytes| {
            if (sender, flight) != (of, 0) {
                return;
            }
            let hello = match of {
                Side::Client => Hello::parse(bytes),
                Side::Server => Hello::parse_server(bytes),
            };
            let old = hello.message().len();
            let first = records(bytes)[0].1.clone();
            let rest = bytes.split_off(5 + first.len());
            let content = [&change(hello).message()[..], &first[old..]].concat();
            *bytes = [record(22, &content), rest].concat();
            // Clients say TLS 1.0 in the header of their first record.
            bytes[2] = if of == Side::Client { 1 } else { 3 };
        })
        .run()
}

/// What the client of a handshake offers.
fn offered(client: &ClientConfig, server: &ServerConfig) -> (Hello, Outcome) {
    let outcome = Pair::new(client, server).run();
    (Hello::parse(&outcome.flights[0].bytes), outcome)
}

#[test]
fn every_suite_resumes_by_ticket_and_by_session_id() {
    for (suite, key_type) in [
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            KeyType::Rsa2048,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            KeyType::Rsa2048,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            KeyType::Rsa2048,
        ),
    ] {
        let certified = certified(&identity(key_type));
        for by in BOTH {
            let builder = ServerConfig::builder()
                .certificate(certified.clone())
                .cipher_suites([suite]);
            let builder = match by {
                By::Ticket => builder,
                By::SessionId => builder.session_store(Arc::new(MemorySessionStore::new(100))),
            };
            let server = builder.build().unwrap();
            let cache = Arc::new(Held::default());
            let client = client_with(&cache);
            let first = full(&client, &server);
            assert_eq!(cache.get().ticket().is_empty(), by == By::SessionId);
            assert_eq!(cache.get().session_id().is_empty(), by == By::Ticket);
            for chunk in [usize::MAX, 1] {
                let ends = run(Pair::new(&client, &server).in_chunks_of(chunk), &client);
                let (ours, theirs) = (ends.client.negotiated(), ends.server.negotiated());
                assert!(ours.is_resumed(), "{suite} {by:?}");
                assert_eq!(ours.cipher_suite(), suite);
                assert_eq!((ours.group(), theirs.group()), (None, None));
                assert_eq!(ours.signature_scheme(), None);
                assert_eq!(
                    ours.peer_certificates(),
                    first.client.negotiated().peer_certificates()
                );
                ends.close();
            }
        }
    }
}

#[test]
fn a_session_is_reused_as_often_as_one_likes_and_takes_one_round_trip_less() {
    for by in BOTH {
        let server = server12(by).build().unwrap();
        let cache = Arc::new(MemorySessionCache::new(16));
        let client = client().session_cache(cache.clone()).build().unwrap();
        full(&client, &server);
        for _ in 0..5 {
            resumed(&client, &server);
        }
        let outcome = Pair::new(&client, &server).run();
        let types = |at: usize| -> Vec<u8> {
            records(&outcome.flights[at].bytes)
                .iter()
                .map(|(of, _)| *of)
                .collect()
        };
        assert_eq!(outcome.flights.len(), 3);
        assert_eq!(
            [types(0), types(1), types(2)],
            [vec![22], vec![22, 20, 22], vec![20, 22]]
        );
    }
}

#[test]
fn a_suite_that_is_no_longer_offered_or_accepted_means_a_full_handshake() {
    let suites = [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ];
    for by in BOTH {
        let (cache, _, server) = with_session(by);
        let other = client()
            .session_cache(cache.clone())
            .cipher_suites([suites[1]])
            .build()
            .unwrap();
        full(&other, &server);

        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let with_suite = |suite| {
            let builder = server().cipher_suites([suite]).ticket_keys(keys.clone());
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let client = client_with(&Arc::default());
        full(&client, &with_suite(suites[0]));
        full(&client, &with_suite(suites[1]));
        resumed(&client, &with_suite(suites[1]));
    }
}

#[test]
fn a_session_with_extended_main_secret_is_not_resumed_without() {
    for by in BOTH {
        let cache = Arc::new(Held::default());
        let client = client()
            .session_cache(cache.clone())
            .allow_missing_extended_main_secret()
            .build()
            .unwrap();
        let server = server12(by).allow_missing_extended_main_secret().build().unwrap();
        full(&client, &server);
        let outcome = with_hello(&client, &server, Side::Client, |hello| {
            hello.without(EXTENDED_MAIN_SECRET)
        });
        let error = outcome.refused_by(Side::Server, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
        // The client has learned that the session is no good.
        full(&client, &server);
        // The server's answer contradicts the session.
        let outcome = with_hello(&client, &server, Side::Server, |hello| {
            hello.without(EXTENDED_MAIN_SECRET)
        });
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
        full(&client, &server);
        cache.change(|bytes| bytes[FLAGS] ^= 1);
        let error = Pair::new(&client, &server)
            .run()
            .refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
    }
}

#[test]
fn a_session_without_extended_main_secret_is_not_resumed_with() {
    let store = Arc::new(Stored::default());
    let server = server()
        .only(ProtocolVersion::TLS12)
        .session_store(store.clone())
        .build()
        .unwrap();
    let client = client_with(&Arc::default());
    full(&client, &server);
    resumed(&client, &server);
    store.0.lock().unwrap()[0].1[FLAGS] ^= 1;
    full(&client, &server);
}

#[test]
fn every_flipped_bit_of_a_stored_session_does_no_harm() {
    let store = Arc::new(Stored::default());
    let server = server()
        .only(ProtocolVersion::TLS12)
        .session_store(store.clone())
        .build()
        .unwrap();
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    full(&client, &server);
    let (session, good) = (cache.get(), store.0.lock().unwrap()[0].1.clone());
    let (mut ended, mut failed) = (0, 0);
    for bit in 0..good.len() * 8 {
        cache.set(session.clone());
        store.0.lock().unwrap()[0].1 = good.clone();
        store.0.lock().unwrap()[0].1[bit / 8] ^= 1 << (bit % 8);
        // A full handshake, or a secret or suite that is another one and is noticed: nobody hangs or panics.
        let outcome = format!("{:?}", Pair::new(&client, &server).run());
        assert!(!outcome.contains("waiting"), "bit {bit}: {outcome}");
        match outcome.contains("failed") {
            true => failed += 1,
            false => ended += 1,
        }
    }
    // At least the secret's 48 bytes make the two sides differ.
    assert!(failed >= 48 * 8 && ended > 100, "{failed} {ended}");
}

#[test]
fn a_session_is_bound_to_its_name() {
    let certified = certified_for(KeyType::P256, &[NAME, "other.test"]);
    for sends_name in [true, false] {
        let cache = Arc::new(Held::default());
        let client = client()
            .session_cache(cache.clone())
            .send_server_name(sends_name)
            .build()
            .unwrap();
        let server = ServerConfig::builder()
            .certificate(certified.clone())
            .only(ProtocolVersion::TLS12)
            .build()
            .unwrap();
        full(&client, &server);
        let session = cache.get();
        let ends = run(Pair::for_name(&client, &server, "other.test"), &client);
        assert!(
            !ends.client.negotiated().is_resumed(),
            "sends the name: {sends_name}"
        );
        cache.set(session);
        resumed(&client, &server);
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

    fn turn(&self, seconds: i64) {
        self.0
            .store(self.0.load(Relaxed).saturating_add_signed(seconds), Relaxed);
    }
}

#[test]
fn a_session_expires_for_either_side_also_when_a_clock_is_set_back() {
    for by in BOTH {
        for turned in [Side::Client, Side::Server] {
            for (seconds, still_good) in [(59, true), (61, false), (-59, true), (-61, false)] {
                let (ours, theirs) = (Hands::new(), Hands::new());
                let client = client()
                    .clock(ours.clock())
                    .session_cache(Arc::new(Held::default()))
                    .build()
                    .unwrap();
                let server = server12(by)
                    .clock(theirs.clock())
                    .session_lifetime(Duration::from_secs(60))
                    .build()
                    .unwrap();
                full(&client, &server);
                match turned {
                    Side::Client => ours.turn(seconds),
                    Side::Server => theirs.turn(seconds),
                }
                // A session id says nothing of its lifetime to the client: there 7200 seconds are assumed.
                let expected = still_good || (by, turned) == (By::SessionId, Side::Client);
                let ends = run(Pair::new(&client, &server), &client);
                assert_eq!(
                    ends.client.negotiated().is_resumed(),
                    expected,
                    "{by:?} {turned:?} {seconds}"
                );
            }
        }
    }
}

#[test]
fn every_forged_ticket_means_a_full_handshake() {
    let (cache, client, server) = with_session(By::Ticket);
    let good = cache.get();
    let length = good.ticket().len();
    let range = |bytes: &[u8]| bytes.len() - 1 - length..bytes.len() - 1;
    for bit in 0..length * 8 {
        cache.set(good.clone());
        cache.change(|bytes| {
            let start = range(bytes).start;
            bytes[start + bit / 8] ^= 1 << (bit % 8);
        });
        full(&client, &server);
    }
    for kept in 1..length {
        cache.set(good.clone());
        cache.change(|bytes| {
            let range = range(bytes);
            bytes.truncate(range.start - 2 + 2 + kept);
            bytes[range.start - 2..range.start].copy_from_slice(&(kept as u16).to_be_bytes());
            bytes.push(0);
        });
        assert_eq!(cache.get().ticket().len(), kept);
        full(&client, &server);
    }
    cache.set(good);
    resumed(&client, &server);
    // A ticket of another server.
    full(&client, &server12(By::Ticket).build().unwrap());
}

#[test]
fn an_unknown_session_id_means_a_full_handshake() {
    let (cache, client, server) = with_session(By::SessionId);
    cache.change(|bytes| *bytes.last_mut().unwrap() ^= 1);
    full(&client, &server);
    full(&client, &server12(By::SessionId).build().unwrap());
    assert_eq!(cache.removals.load(Relaxed), 2);
    // What one makes the other does not know.
    full(&client, &server12(By::Ticket).build().unwrap());
    full(&client, &server12(By::SessionId).build().unwrap());
}

#[test]
fn an_echo_of_a_session_id_without_a_session_is_refused() {
    for cache in [false, true] {
        let client = match cache {
            true => client_with(&Arc::default()),
            false => client().build().unwrap(),
        };
        let server = server12(By::SessionId).build().unwrap();
        let sent = Mutex::new(Vec::new());
        let outcome = Pair::new(&client, &server)
            .mutated(|sender, flight, bytes| match (sender, flight) {
                (Side::Client, 0) => *sent.lock().unwrap() = Hello::parse(bytes).session_id,
                (Side::Server, 0) => {
                    assert_eq!(sent.lock().unwrap().len(), 32);
                    // Type and length, version, random, length.
                    bytes[5 + 4 + 34 + 1..][..32].copy_from_slice(&sent.lock().unwrap());
                }
                _ => {}
            })
            .run();
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("session_id"), "{error}");
    }
}

#[test]
fn a_resumed_server_hello_must_name_the_suite_of_the_session() {
    for by in BOTH {
        let (cache, client, server) = with_session(by);
        let outcome = with_hello(&client, &server, Side::Server, |mut hello| {
            assert_eq!(hello.suites, [0xc0, 0x2b]);
            hello.suites = vec![0xc0, 0x2c];
            hello
        });
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Mismatch(_))),
            "{error}"
        );
        assert_eq!(cache.removals.load(Relaxed), 1);
    }
}

#[test]
fn a_ticket_that_was_not_promised_or_is_left_out_is_refused() {
    const TICKET: [u8; 11] = [4, 0, 0, 7, 0, 0, 0, 60, 0, 1, 9];
    let server = server12(By::Ticket).build().unwrap();
    let inserted = |client: &ClientConfig, remove: bool| {
        Pair::new(client, &server)
            .mutated(|sender, flight, bytes| {
                if (sender, flight) != (Side::Server, 1) {
                    return;
                }
                match remove {
                    true => {
                        let first = records(bytes)[0].1.len();
                        drop(bytes.drain(..5 + first));
                    }
                    false => drop(bytes.splice(0..0, record(22, &TICKET))),
                }
            })
            .run()
            .refused_by(Side::Client, A::UNEXPECTED_MESSAGE)
    };
    drop(inserted(&client().build().unwrap(), false));
    // Two.
    drop(inserted(&client_with(&Arc::default()), false));
    drop(inserted(&client_with(&Arc::default()), true));
    let outcome = with_hello(&client().build().unwrap(), &server, Side::Server, |hello| {
        hello.with(SESSION_TICKET, &[])
    });
    drop(outcome.refused_by(Side::Client, A::UNSUPPORTED_EXTENSION));
}

#[test]
fn an_empty_ticket_gives_no_session() {
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    let server = server12(By::Ticket)
        .ticket_keys(Arc::new(NoSessions))
        .build()
        .unwrap();
    for _ in 0..2 {
        let (hello, outcome) = offered(&client, &server);
        assert!(hello.extension(SESSION_TICKET).is_empty());
        let mut ends = outcome.established();
        ends.check(b"data");
        assert!(ends.client.reader.take_session().is_none());
    }
}

#[test]
fn the_chain_is_verified_again_by_the_roots_of_today() {
    for by in BOTH {
        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let serve = |builder: ServerConfigBuilder| {
            let builder = builder.ticket_keys(keys.clone()).only(ProtocolVersion::TLS12);
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let cache = Arc::new(Held::default());
        full(&client_with(&cache), &serve(server()));
        let other = Authority::new();
        let roots = RootStore::from_pem(other.root_pem().as_bytes()).unwrap();
        let distrustful = ClientConfig::builder()
            .roots(roots)
            .session_cache(cache.clone())
            .build()
            .unwrap();
        let today =
            serve(ServerConfig::builder().certificate(certified(&other.leaf(KeyType::P256, &[NAME]))));
        full(&distrustful, &today);
        resumed(&distrustful, &today);
    }
}

#[test]
fn tickets_outlive_a_rotation_of_their_keys_and_not_their_window() {
    let hands = Hands::new();
    let keys = Arc::new(
        RotatingTicketKeys::new()
            .with_rotation(Duration::from_secs(60))
            .with_clock(hands.clock()),
    );
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    let server = server12(By::Ticket).ticket_keys(keys.clone()).build().unwrap();
    full(&client, &server);
    let first = cache.get();
    hands.turn(70);
    // Another client makes the keys rotate.
    full(&client_with(&Arc::default()), &server);
    resumed(&client, &server);
    hands.turn(120);
    full(&client, &server);
    assert_ne!(first.ticket()[..16], cache.get().ticket()[..16]);
    resumed(&client, &server);
    assert!(keys.retire(cache.get().ticket()[..16].try_into().unwrap()));
    full(&client, &server);
}

#[test]
fn a_server_that_gives_no_tickets_resumes_nothing() {
    for by in BOTH {
        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let with_tickets = |count| {
            let builder = server12(by).tickets(count).ticket_keys(keys.clone());
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let client = client_with(&Arc::default());
        full(&client, &with_tickets(1));
        full(&client, &with_tickets(0));
        full(&client, &with_tickets(0));
    }
}

#[test]
fn a_session_is_offered_only_where_its_version_is_spoken() {
    let cache = Arc::new(Held::default());
    let with = |version: ProtocolVersion| {
        client()
            .session_cache(cache.clone())
            .only(version)
            .build()
            .unwrap()
    };
    let (client12, client13) = (with(ProtocolVersion::TLS12), with(ProtocolVersion::TLS13));
    for by in BOTH {
        let builder = match by {
            By::Ticket => server(),
            By::SessionId => server().session_store(Arc::new(MemorySessionStore::new(9))),
        };
        let server = builder.build().unwrap();
        full(&client12, &server);
        let id = cache.get().session_id().to_vec();
        let (hello, outcome) = offered(&client13, &server);
        assert!(!outcome.established().client.negotiated().is_resumed());
        assert!(
            hello
                .extensions
                .iter()
                .all(|(of, _)| *of != SESSION_TICKET && *of != PRE_SHARED_KEY)
        );
        assert_ne!(hello.session_id, id);

        full(&client13, &server);
        assert_eq!(cache.get().version(), ProtocolVersion::TLS13);
        let (hello, outcome) = offered(&client12, &server);
        assert!(hello.extensions.iter().all(|(of, _)| *of != PRE_SHARED_KEY));
        assert!(hello.extension(SESSION_TICKET).is_empty());
        assert!(!outcome.established().client.negotiated().is_resumed());
    }
}

#[test]
fn a_session_of_one_version_meets_a_server_of_the_other() {
    for by in BOTH {
        let cache = Arc::new(Held::default());
        let client = client_with(&cache);
        let old = server12(by).build().unwrap();
        let new = server().only(ProtocolVersion::TLS13).build().unwrap();
        for _ in 0..2 {
            full(&client, &new);
            assert_eq!(cache.get().version(), ProtocolVersion::TLS13);
            full(&client, &old);
            assert_eq!(cache.get().version(), ProtocolVersion::TLS12);
        }
        resumed(&client, &old);
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8; 32], _: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((label.to_owned(), client_random.to_vec()));
    }
}

#[test]
fn exporters_and_key_log_differ_for_each_connection_of_a_session() {
    for by in BOTH {
        let logs = [Arc::new(Log::default()), Arc::new(Log::default())];
        let client = client()
            .session_cache(Arc::new(Held::default()))
            .key_log(logs[0].clone())
            .build()
            .unwrap();
        let server = server12(by).key_log(logs[1].clone()).build().unwrap();
        let mut exported = Vec::new();
        for round in 0..3 {
            let ends = match round {
                0 => full(&client, &server),
                _ => resumed(&client, &server),
            };
            let mut out = [0; 32];
            ends.client
                .export_keying_material(&mut out, b"EXPORTER-test", None)
                .unwrap();
            exported.push(out);
        }
        exported.sort_unstable();
        exported.dedup();
        assert_eq!(exported.len(), 3);
        assert_eq!(*logs[0].0.lock().unwrap(), *logs[1].0.lock().unwrap());
        let mut lines = logs[0].0.lock().unwrap().clone();
        assert!(lines.iter().all(|(label, _)| label == "CLIENT_RANDOM"));
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 3);
    }
}
