//! Every method of every hook for sessions, answering late, failing, and never answering, in both versions: the handshake
//! goes on, at worst in full, or ends at its deadline and says which hook it waited for; and the hook's future is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tls_core::{
    Answer, ClientConfig, ClientSession, ClientSessionCache, ConnectionContext, HookError, Phase,
    ProtocolVersion, RotatingTicketKeys, ServerConfig, ServerSessionStore, SessionKey, Side, StoredSession,
    TicketKey, TicketKeys, Zeroizing,
};
use tls_tests::pair::{self, NAME, name};
use tls_tests::versions::{Only as _, VERSIONS};
use tls_tokio::{Error, MemorySessionCache, MemorySessionStore, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::Instant;

/// The deadline of each handshake.
const LIMIT: Duration = Duration::from_secs(7);

/// What a method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Late,
    FailNow,
    FailLate,
    Never,
}

const ALL: [How; 4] = [How::Late, How::FailNow, How::FailLate, How::Never];

/// The method that does so, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    CacheTake,
    CachePut,
    CacheRemove,
    StorePut,
    StoreLookUp,
    SealingKey,
    OpeningKey,
}

/// Hooks that work, but for one method.
#[derive(Debug)]
struct Hooks {
    cache: MemorySessionCache,
    store: MemorySessionStore,
    keys: RotatingTicketKeys,
    bad: Mutex<Option<(Method, How)>>,
    /// How often the bad method was asked.
    asked: AtomicUsize,
    /// Futures of it that exist.
    alive: AtomicUsize,
}

/// Counts a future while it exists.
struct Alive<'a>(&'a AtomicUsize);

impl<'a> Alive<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Hooks {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cache: MemorySessionCache::new(16),
            store: MemorySessionStore::new(16),
            keys: RotatingTicketKeys::new(),
            bad: Mutex::new(None),
            asked: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
        })
    }

    fn set(&self, method: Method, how: How) {
        *self.bad.lock().unwrap() = Some((method, how));
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        method: Method,
        good: impl FnOnce() -> Answer<'a, Result<T, HookError>> + Send + 'a,
    ) -> Answer<'a, Result<T, HookError>> {
        let Some((_, how)) = self.bad.lock().unwrap().filter(|(bad, _)| *bad == method) else {
            return good();
        };
        self.asked.fetch_add(1, Relaxed);
        let bad = || Err(HookError::from("the hook is out of order"));
        if how == How::FailNow {
            return Answer::Now(bad());
        }
        let alive = Alive::new(&self.alive);
        Answer::later(async move {
            let _alive = alive;
            tokio::time::sleep(Duration::from_secs(1)).await;
            match how {
                How::FailLate => bad(),
                How::Never => pending().await,
                _ => match good() {
                    Answer::Now(answer) => answer,
                    Answer::Later(answer) => answer.await,
                },
            }
        })
    }
}

impl ClientSessionCache for Hooks {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        self.answer(Method::CacheTake, move || self.cache.take(key, context))
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(Method::CachePut, move || self.cache.put(key, session, context))
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(Method::CacheRemove, move || self.cache.remove(key, context))
    }
}

impl ServerSessionStore for Hooks {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(Method::StorePut, move || {
            self.store.put(id, session, lifetime, context)
        })
    }

    fn get<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.answer(Method::StoreLookUp, move || self.store.get(id, context))
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.answer(Method::StoreLookUp, move || self.store.take(id, context))
    }
}

impl TicketKeys for Hooks {
    fn sealing_key<'a>(
        &'a self,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answer(Method::SealingKey, move || self.keys.sealing_key(context))
    }

    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answer(Method::OpeningKey, move || self.keys.opening_key(id, context))
    }
}

/// A client and a server with the same hooks, which remember sessions where this method is asked.
struct Sides {
    hooks: Arc<Hooks>,
    client: ClientConfig,
    server: ServerConfig,
}

impl Sides {
    fn new(version: ProtocolVersion, method: Method) -> Self {
        let hooks = Hooks::new();
        let client = pair::client().session_cache(hooks.clone()).build().unwrap();
        let server = pair::server().only(version);
        let server = match method {
            Method::StorePut | Method::StoreLookUp => server.session_store(hooks.clone()),
            _ => server.ticket_keys(hooks.clone()),
        };
        Self {
            hooks,
            client,
            server: server.build().unwrap(),
        }
    }

    async fn meet(&self) -> Met {
        let (ours, theirs) = duplex(1 << 16);
        let connector = TlsConnector::new(self.client.clone()).handshake_timeout(Some(LIMIT));
        let acceptor = TlsAcceptor::new(self.server.clone()).handshake_timeout(Some(LIMIT));
        let started = Instant::now();
        let client = async {
            let connected = connector.connect(name(NAME), ours).await;
            let took = started.elapsed();
            (connected.map_err(|failure| failure.into_parts().0), took)
        };
        let server = async {
            let accepted = acceptor.accept(theirs).await;
            let took = started.elapsed();
            (accepted.map_err(|failure| failure.into_parts().0), took)
        };
        let (client, server) = tokio::join!(client, server);
        Met { client, server }
    }
}

type End = (Result<TlsStream<DuplexStream>, Error>, Duration);

struct Met {
    client: End,
    server: End,
}

impl Met {
    /// That both sides are established, in time. Data goes both ways, and with it sessions get to the client, which a
    /// slow cache is given time for. Whether it was a resumption.
    async fn works(self) -> bool {
        let ((Ok(mut client), one), (Ok(mut server), other)) = (self.client, self.server) else {
            panic!("the handshake failed");
        };
        assert!(one < LIMIT && other < LIMIT, "{one:?} {other:?}");
        for _ in 0..4 {
            client.write_all(b"ping").await.unwrap();
            client.flush().await.unwrap();
            let mut got = [0; 4];
            server.read_exact(&mut got).await.unwrap();
            server.write_all(&got).await.unwrap();
            server.flush().await.unwrap();
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ping");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(client.info().is_resumed(), server.info().is_resumed());
        client.info().is_resumed()
    }

    /// That this side ended at its deadline, waiting for this hook.
    fn ended_waiting_for(&self, side: Side, hook: &str) {
        let (result, took) = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        assert!(
            (LIMIT..LIMIT + Duration::from_millis(100)).contains(took),
            "{took:?}"
        );
        let Err(Error::Timeout(timed_out)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(timed_out.side, side);
        assert!(
            matches!(timed_out.phase, Phase::Hook(named) if named == hook),
            "{timed_out:?}"
        );
    }
}

/// That the method was asked, and nothing of it is left.
fn is_over(sides: &Sides, case: &str) {
    assert!(sides.hooks.asked.load(Relaxed) > 0, "{case}: it was not asked");
    assert_eq!(sides.hooks.alive.load(Relaxed), 0, "{case}: a future is left");
}

#[tokio::test(start_paused = true)]
async fn looking_a_session_up() {
    for version in VERSIONS {
        for (method, side, hook) in [
            (Method::CacheTake, Side::Client, "ClientSessionCache"),
            (Method::StoreLookUp, Side::Server, "ServerSessionStore"),
            (Method::OpeningKey, Side::Server, "TicketKeys"),
        ] {
            for how in ALL {
                let case = format!("{version} {method:?} {how:?}");
                let sides = Sides::new(version, method);
                assert!(!sides.meet().await.works().await);
                sides.hooks.set(method, how);
                let met = sides.meet().await;
                match how {
                    How::Never => met.ended_waiting_for(side, hook),
                    _ => assert_eq!(met.works().await, how == How::Late, "{case}"),
                }
                is_over(&sides, &case);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keeping_a_session_at_the_server() {
    for version in VERSIONS {
        for (method, hook) in [
            (Method::StorePut, "ServerSessionStore"),
            (Method::SealingKey, "TicketKeys"),
        ] {
            for how in ALL {
                let case = format!("{version} {method:?} {how:?}");
                let sides = Sides::new(version, method);
                sides.hooks.set(method, how);
                let met = sides.meet().await;
                if how == How::Never {
                    met.ended_waiting_for(Side::Server, hook);
                } else {
                    assert!(!met.works().await);
                    let again = sides.meet().await;
                    assert_eq!(again.works().await, how == How::Late, "{case}");
                }
                is_over(&sides, &case);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keeping_a_session_at_the_client() {
    for version in VERSIONS {
        for how in ALL {
            let case = format!("{version} {how:?}");
            let sides = Sides::new(version, Method::CachePut);
            sides.hooks.set(Method::CachePut, how);
            for round in 0..2 {
                // No handshake waits for it, and no reading.
                let resumed = sides.meet().await.works().await;
                assert_eq!(resumed, round > 0 && how == How::Late, "{case}");
            }
            is_over(&sides, &case);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn forgetting_a_session_that_the_server_does_not_know() {
    for version in VERSIONS {
        for how in ALL {
            let case = format!("{version} {how:?}");
            let mut sides = Sides::new(version, Method::CacheRemove);
            assert!(!sides.meet().await.works().await);
            sides.hooks.set(Method::CacheRemove, how);
            sides.server = pair::server().only(version).build().unwrap();
            let met = sides.meet().await;
            match how {
                How::Never => met.ended_waiting_for(Side::Client, "ClientSessionCache"),
                _ => assert!(!met.works().await, "{case}"),
            }
            is_over(&sides, &case);
        }
    }
}
