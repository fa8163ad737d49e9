//! Resumption of TLS 1.3 between our own two sides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod client;
mod faults;
mod hooks;
mod server;
mod stream;

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tls_core::{
    Answer, ClientConfig, ClientSession, ClientSessionCache, ConnectionContext, Driver, HookError, Progress,
    ReadEvent, ServerConfig, SessionKey, Side,
};
use tls_tests::hello::Hello;
use tls_tests::pair::{self, Ends, NAME, Outcome, Pair, name};

/// The extension pre_shared_key.
const PRE_SHARED_KEY: u16 = 41;

/// A clock that tests set.
#[derive(Clone, Debug)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn now() -> Self {
        Self(Arc::new(AtomicU64::new(UnixTime::now().as_secs())))
    }

    fn clock(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let time = Arc::clone(&self.0);
        move || UnixTime::since_unix_epoch(Duration::from_secs(time.load(Relaxed)))
    }

    fn move_by(&self, seconds: i64) {
        self.0
            .fetch_update(Relaxed, Relaxed, |now| now.checked_add_signed(seconds))
            .unwrap();
    }
}

/// What a hook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Now,
    Later,
    FailNow,
    FailLater,
    Never,
}

/// Says when a hook's future is gone.
struct SeesDrop<'a>(&'a AtomicBool);

impl Drop for SeesDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How a hook answers, which may change, and whether its last future is gone.
#[derive(Debug)]
struct Answering {
    how: Mutex<How>,
    dropped: AtomicBool,
}

impl Answering {
    const fn new(how: How) -> Self {
        Self {
            how: Mutex::new(how),
            dropped: AtomicBool::new(false),
        }
    }

    fn set(&self, how: How) {
        *self.how.lock().unwrap() = how;
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        good: impl FnOnce() -> T + Send + 'a,
    ) -> Answer<'a, Result<T, HookError>> {
        let no = || HookError::from("the hook says no");
        let how = *self.how.lock().unwrap();
        match how {
            How::Now => Answer::Now(Ok(good())),
            How::FailNow => Answer::Now(Err(no())),
            How::Later | How::FailLater | How::Never => Answer::later(async move {
                let _guard = SeesDrop(&self.dropped);
                tokio::task::yield_now().await;
                match how {
                    How::Later => Ok(good()),
                    How::FailLater => Err(no()),
                    _ => pending().await,
                }
            }),
        }
    }
}

/// A cache that forgets nothing by itself, and can be looked into.
#[derive(Debug)]
struct Bag {
    answering: Answering,
    sessions: Mutex<Vec<(SessionKey, ClientSession)>>,
    removals: AtomicUsize,
}

impl Bag {
    fn new() -> Arc<Self> {
        Self::answering(How::Now)
    }

    fn answering(how: How) -> Arc<Self> {
        Arc::new(Self {
            answering: Answering::new(how),
            sessions: Mutex::default(),
            removals: AtomicUsize::new(0),
        })
    }

    fn len(&self) -> usize {
        self.sessions.lock().unwrap().len()
    }

    /// The newest session, which stays.
    fn newest(&self) -> ClientSession {
        self.sessions.lock().unwrap().last().unwrap().1.clone()
    }

    /// Only this session from now on, for this configuration and [`NAME`].
    fn hold(&self, config: &ClientConfig, session: ClientSession) {
        *self.sessions.lock().unwrap() = vec![(config.session_key(&name(NAME)), session)];
    }
}

impl ClientSessionCache for Bag {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        self.answering.answer(move || {
            let mut sessions = self.sessions.lock().unwrap();
            let index = sessions.iter().rposition(|(of, _)| of == key)?;
            Some(sessions.remove(index).1)
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answering.answer(move || {
            self.sessions.lock().unwrap().push((key.clone(), session));
        })
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answering.answer(move || {
            self.removals.fetch_add(1, Relaxed);
            self.sessions.lock().unwrap().retain(|(of, _)| of != key);
        })
    }
}

/// A client that keeps its sessions there.
fn client(bag: &Arc<Bag>) -> ClientConfig {
    pair::client().session_cache(bag.clone()).build().unwrap()
}

fn server() -> ServerConfig {
    pair::server().build().unwrap()
}

/// Reads the tickets that came, and how many there were; they go into the cache, as those of a stream do.
fn keep(config: &ClientConfig, ends: &mut Ends, bag: &Bag) -> usize {
    assert_eq!(ends.client.reader.process().unwrap(), ReadEvent::NeedMore);
    let key = config.session_key(&name(NAME));
    let mut count = 0;
    while let Some(session) = ends.client.reader.take_session() {
        bag.sessions.lock().unwrap().push((key.clone(), session));
        count += 1;
    }
    count
}

/// Whether the handshake of these two was a resumption. Data flows in any case.
fn is_resumed(ends: &mut Ends) -> bool {
    ends.check(b"data");
    let (client, server) = (ends.client.negotiated(), ends.server.negotiated());
    assert_eq!(client.is_resumed(), server.is_resumed());
    assert_eq!(client.is_resumed(), client.signature_scheme().is_none());
    assert!(
        client.peer_certificates().len() == 2,
        "the server's chain is known in any case"
    );
    client.is_resumed()
}

/// A handshake, whether it was a resumption; its tickets are kept.
fn meet(client: &ClientConfig, server: &ServerConfig, bag: &Bag) -> bool {
    let mut ends = Pair::new(client, server).run().established();
    keep(client, &mut ends, bag);
    is_resumed(&mut ends)
}

/// The ClientHellos of a handshake.
fn client_hellos(outcome: &Outcome) -> Vec<Hello> {
    outcome
        .flights
        .iter()
        .filter(|flight| flight.sender == Side::Client)
        .map(|flight| {
            let dummy: &[u8] = &[20, 3, 3, 0, 1, 1];
            flight.bytes.strip_prefix(dummy).unwrap_or(&flight.bytes)
        })
        .filter(|bytes| bytes[0] == 22)
        .map(Hello::parse)
        .collect()
}

fn offers_psk(hello: &Hello) -> bool {
    let has = |wanted| hello.extensions.iter().any(|(of, _)| *of == wanted);
    has(PRE_SHARED_KEY)
}

/// The first flight of a client.
fn first_flight(client: &ClientConfig) -> Vec<u8> {
    let mut driver = Driver::client(client, name(NAME));
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    driver.transmit()
}

#[test]
fn a_session_is_resumed_again_and_again_with_a_new_ticket_each_time() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    for round in 0..4 {
        let mut ends = Pair::new(&client, &server).run().established();
        assert_eq!(keep(&client, &mut ends, &bag), 2);
        assert_eq!(is_resumed(&mut ends), round > 0);
        assert_eq!(bag.len(), 2 + round, "one was used, two came");
        ends.close();
    }
    assert_eq!(bag.removals.load(Relaxed), 0);
}

#[test]
fn a_resumption_needs_no_certificate_and_less_bytes_in_any_chunks() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    for chunk in [1, 7, 1000] {
        let outcome = Pair::new(&client, &server).in_chunks_of(chunk).run();
        assert!(offers_psk(&client_hellos(&outcome)[0]));
        let length = outcome
            .flights
            .iter()
            .find(|flight| flight.sender == Side::Server);
        assert!(length.unwrap().bytes.len() < 1500, "the server sent {length:?}");
        let mut ends = outcome.established();
        keep(&client, &mut ends, &bag);
        assert!(is_resumed(&mut ends));
    }
}

#[test]
fn no_ticket_is_used_twice_and_none_looks_like_another() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let mut seen = Vec::new();
    for _ in 0..10 {
        let outcome = Pair::new(&client, &server).run();
        let hello = client_hellos(&outcome).swap_remove(0);
        seen.push(identity(&hello));
        let mut ends = outcome.established();
        keep(&client, &mut ends, &bag);
        assert!(is_resumed(&mut ends));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

/// The ticket that a ClientHello offers.
fn identity(hello: &Hello) -> Vec<u8> {
    let psk = hello.extension(PRE_SHARED_KEY);
    let length = usize::from(u16::from_be_bytes([psk[2], psk[3]]));
    psk[4..4 + length].to_vec()
}
