//! Caches, stores and ticket keys that answer later, fail, or never answer: at worst a full handshake.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tls_core::{
    AlertDescription, Answer, ConnectionContext, Driver, HookError, Progress, RotatingTicketKeys,
    ServerConfig, ServerSessionStore, StoredSession, TicketKey, TicketKeys, Zeroizing,
};
use tls_tests::hello::{Hello, records};
use tls_tests::pair::{self, NAME, Pair, name};
use tls_tokio::MemorySessionStore;

use crate::{Answering, Bag, How, client, first_flight, is_resumed, keep, meet, server};

/// A store that answers as it is told.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) answering: Answering,
    inner: MemorySessionStore,
}

impl Store {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answering: Answering::new(How::Now),
            // Never full, not even one of its shards: whatever was put is there.
            inner: MemorySessionStore::new(100_000),
        })
    }
}

fn now<T>(answer: Answer<'_, Result<T, HookError>>) -> T {
    match answer {
        Answer::Now(result) => result.unwrap(),
        Answer::Later(_) => panic!("it is in memory"),
    }
}

impl ServerSessionStore for Store {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answering
            .answer(move || now(self.inner.put(id, session, lifetime, context)))
    }

    fn get<'a>(&'a self, _: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        panic!("sessions of TLS 1.3 are used once")
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        assert_eq!(id.len(), 40, "only what can be one of ours is looked up");
        self.answering.answer(move || now(self.inner.take(id, context)))
    }
}

/// Ticket keys that answer as they are told.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) answering: Answering,
    inner: RotatingTicketKeys,
}

impl Keys {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answering: Answering::new(How::Now),
            inner: RotatingTicketKeys::new(),
        })
    }
}

impl TicketKeys for Keys {
    fn sealing_key<'a>(
        &'a self,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answering
            .answer(move || now(self.inner.sealing_key(context)))
    }

    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answering
            .answer(move || now(self.inner.opening_key(id, context)))
    }
}

const ANSWERS: [How; 4] = [How::Now, How::Later, How::FailNow, How::FailLater];

fn is_good(how: How) -> bool {
    matches!(how, How::Now | How::Later)
}

/// With a session in the cache, then the hook answering like this: whether it was a resumption, and how many tickets
/// came.
fn after(how: How, server: &ServerConfig, answering: &Answering, bag: &Arc<Bag>) -> (bool, usize) {
    let client = client(bag);
    assert!(!meet(&client, server, bag));
    answering.set(how);
    let mut ends = Pair::new(&client, server).run().established();
    let tickets = keep(&client, &mut ends, bag);
    (is_resumed(&mut ends), tickets)
}

#[test]
fn a_store_that_fails_or_is_late_fails_no_handshake() {
    for how in ANSWERS {
        let store = Store::new();
        let server = pair::server().session_store(store.clone()).build().unwrap();
        let got = after(how, &server, &store.answering, &Bag::new());
        assert_eq!(got, (is_good(how), if is_good(how) { 2 } else { 0 }), "{how:?}");
    }
}

#[test]
fn ticket_keys_that_fail_or_are_late_fail_no_handshake() {
    for how in ANSWERS {
        let keys = Keys::new();
        let server = pair::server().ticket_keys(keys.clone()).build().unwrap();
        let got = after(how, &server, &keys.answering, &Bag::new());
        assert_eq!(got, (is_good(how), if is_good(how) { 2 } else { 0 }), "{how:?}");
    }
}

#[test]
fn a_cache_that_fails_or_is_late_fails_no_handshake() {
    for how in ANSWERS {
        let bag = Bag::new();
        let got = after(how, &server(), &bag.answering, &bag);
        assert_eq!(got, (is_good(how), 2), "{how:?}");
    }
    // Nor when it is told to forget.
    for how in ANSWERS {
        let bag = Bag::new();
        let config = client(&bag);
        assert!(!meet(&config, &server(), &bag));
        if is_good(how) {
            bag.answering.set(how);
        }
        assert!(!meet(&config, &server(), &bag), "{how:?}");
        assert_eq!(bag.removals.load(Relaxed), 1);
    }
}

#[test]
fn a_hook_that_never_answers_is_dropped_with_the_handshake() {
    let bag = Bag::answering(How::Never);
    let mut driver = Driver::client(&client(&bag), name(NAME));
    for _ in 0..10 {
        assert_eq!(driver.advance().unwrap(), Progress::Waiting);
        assert!(driver.transmit().is_empty());
    }
    assert!(!bag.answering.dropped.load(Relaxed));
    drop(driver);
    assert!(bag.answering.dropped.load(Relaxed));

    let (store, bag) = (Store::new(), Bag::new());
    let server = pair::server().session_store(store.clone()).build().unwrap();
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    store.answering.set(How::Never);
    let mut driver = Driver::server(&server);
    driver.receive(&first_flight(&client));
    for _ in 0..10 {
        assert_eq!(driver.advance().unwrap(), Progress::Waiting);
        assert!(driver.transmit().is_empty(), "nothing is decided yet");
    }
    assert!(!store.answering.dropped.load(Relaxed));
    drop(driver);
    assert!(store.answering.dropped.load(Relaxed));
}

#[test]
fn a_server_that_is_refused_learns_of_it_before_a_slow_cache_forgets() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let mut driver = Driver::client(&client, name(NAME));
    driver.advance().unwrap();
    let hello = Hello::parse(&driver.transmit());
    bag.answering.set(How::Never);
    // It selects a ticket that was not offered.
    let answer = Hello::server_for(&hello).with(crate::PRE_SHARED_KEY, &[0, 9]);
    driver.receive(&answer.record());
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    let alert = AlertDescription::ILLEGAL_PARAMETER;
    assert_eq!(records(&driver.transmit()), [(21, vec![2, alert.0])]);
}
