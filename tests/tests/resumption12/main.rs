//! Resumption in TLS 1.2, by ticket and by session id: what resumes, what leads to a full handshake, what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod hooks;
mod refusals;
mod sessions;

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
use tls_tests::session;
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
        let mut bytes = session::write(&self.get());
        change(&mut bytes);
        self.set(session::read(bytes));
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
