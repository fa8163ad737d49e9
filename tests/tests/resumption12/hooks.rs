//! Hooks for sessions that answer late, fail, or never answer; and the cache behind Tokio's streams.

use std::future::poll_fn;
use std::task::Poll;

use tls_core::{TicketKey, TicketKeys};
use tls_tokio::{TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

/// What a hook does where it is not asked to answer at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Late,
    Fail,
    FailLate,
    Never,
}

/// Which of its methods does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Putting,
    Getting,
}

/// Behaves so in front of a hook that works.
#[derive(Debug)]
struct Slow<T> {
    inner: T,
    how: Mutex<Option<(When, How)>>,
}

impl<T> Slow<T> {
    fn new(inner: T) -> Arc<Self> {
        Arc::new(Self {
            inner,
            how: Mutex::new(None),
        })
    }

    fn set(&self, when: When, how: How) {
        *self.how.lock().unwrap() = Some((when, how));
    }

    fn answer<'a, R: Send + 'a>(
        &self,
        when: When,
        good: impl FnOnce() -> Answer<'a, Result<R, HookError>> + Send + 'a,
    ) -> Answer<'a, Result<R, HookError>> {
        let how = self.how.lock().unwrap().filter(|(which, _)| *which == when);
        let Some((_, how)) = how else {
            return good();
        };
        let bad = || HookError::from("the hook is out of order");
        if how == How::Fail {
            return Answer::Now(Err(bad()));
        }
        Answer::later(async move {
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                if how == How::Never {
                    return Poll::Pending;
                }
                cx.waker().wake_by_ref();
                match polls > 3 {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            if how == How::FailLate {
                return Err(bad());
            }
            match good() {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => answer.await,
            }
        })
    }
}

impl ServerSessionStore for Slow<MemorySessionStore> {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(When::Putting, move || {
            self.inner.put(id, session, lifetime, context)
        })
    }

    fn get<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.answer(When::Getting, move || self.inner.get(id, context))
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.answer(When::Getting, move || self.inner.take(id, context))
    }
}

impl TicketKeys for Slow<RotatingTicketKeys> {
    fn sealing_key<'a>(
        &'a self,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answer(When::Putting, move || self.inner.sealing_key(context))
    }

    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.answer(When::Getting, move || self.inner.opening_key(id, context))
    }
}

impl ClientSessionCache for Slow<MemorySessionCache> {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        self.answer(When::Getting, move || self.inner.take(key, context))
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(When::Putting, move || self.inner.put(key, session, context))
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.answer(When::Putting, move || self.inner.remove(key, context))
    }
}

/// A server whose session hook can be made slow, and what makes it so.
fn slow_server(by: By) -> (ServerConfig, Box<dyn Fn(When, How)>) {
    let builder = server().only(ProtocolVersion::TLS12);
    match by {
        By::Ticket => {
            let keys = Slow::new(RotatingTicketKeys::new());
            let config = builder.ticket_keys(keys.clone()).build().unwrap();
            (config, Box::new(move |when, how| keys.set(when, how)))
        }
        By::SessionId => {
            let store = Slow::new(MemorySessionStore::new(9));
            let config = builder.session_store(store.clone()).build().unwrap();
            (config, Box::new(move |when, how| store.set(when, how)))
        }
    }
}

#[test]
fn a_hook_of_the_server_that_is_late_resumes_and_one_that_fails_does_not() {
    for by in BOTH {
        for (how, is_good) in [(How::Late, true), (How::Fail, false), (How::FailLate, false)] {
            for when in [When::Putting, When::Getting] {
                let (server, set) = slow_server(by);
                let client = client_with(&Arc::default());
                if when == When::Putting {
                    set(when, how);
                }
                full(&client, &server);
                set(when, how);
                let ends = run(Pair::new(&client, &server), &client);
                assert_eq!(
                    ends.client.negotiated().is_resumed(),
                    is_good,
                    "{by:?} {how:?} {when:?}"
                );
            }
        }
    }
}

const LIMIT: Duration = Duration::from_secs(7);

type Stream = TlsStream<DuplexStream>;

/// A handshake on Tokio, and data both ways, so that the client has read.
async fn on_tokio(client: &ClientConfig, server: &ServerConfig) -> Result<(Stream, Stream), [String; 2]> {
    let (ours, theirs) = duplex(1 << 16);
    let name = tls_tests::pair::name(NAME);
    let connector = TlsConnector::new(client.clone()).handshake_timeout(Some(LIMIT));
    let acceptor = TlsAcceptor::new(server.clone()).handshake_timeout(Some(LIMIT));
    let both = tokio::join!(
        Box::pin(connector.connect(name, ours)),
        Box::pin(acceptor.accept(theirs))
    );
    let (mut client, mut server) = match both {
        (Ok(client), Ok(server)) => (client, server),
        (client, server) => {
            let text = |failure: Option<String>| failure.unwrap_or_default();
            return Err([
                text(client.err().map(|error| error.to_string())),
                text(server.err().map(|error| error.to_string())),
            ]);
        }
    };
    for (from, to) in [(true, b"ping"), (false, b"pong")] {
        let (from, into) = match from {
            true => (&mut client, &mut server),
            false => (&mut server, &mut client),
        };
        from.write_all(to).await.unwrap();
        from.flush().await.unwrap();
        let mut got = [0; 4];
        into.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, to);
    }
    Ok((client, server))
}

#[tokio::test]
async fn streams_keep_their_sessions_and_resume_them() {
    for by in BOTH {
        let server = server12(by).build().unwrap();
        let cache = Arc::new(MemorySessionCache::new(16));
        let client = client().session_cache(cache.clone()).build().unwrap();
        for round in 0..4 {
            let (ours, theirs) = Box::pin(on_tokio(&client, &server)).await.unwrap();
            assert_eq!(ours.info().is_resumed(), round > 0, "{by:?} {round}");
            assert_eq!(theirs.info().is_resumed(), round > 0);
            assert_eq!(ours.info().group().is_none(), round > 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_of_the_server_that_never_answers_ends_at_the_deadline_and_is_named() {
    for by in BOTH {
        for when in [When::Putting, When::Getting] {
            let (server, set) = slow_server(by);
            let client = client_with_memory();
            if when == When::Getting {
                Box::pin(on_tokio(&client, &server)).await.unwrap();
            }
            set(when, How::Never);
            let started = Instant::now();
            let [_, error] = Box::pin(on_tokio(&client, &server)).await.unwrap_err();
            assert!(started.elapsed() < LIMIT * 2);
            let hook = match by {
                By::Ticket => "TicketKeys",
                By::SessionId => "ServerSessionStore",
            };
            assert!(error.contains(hook), "{by:?} {when:?}: {error}");
        }
    }
}

fn client_with_memory() -> ClientConfig {
    client()
        .session_cache(Arc::new(MemorySessionCache::new(16)))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_the_client_that_is_slow_or_fails_costs_a_full_handshake_at_most() {
    let server = server12(By::Ticket).build().unwrap();
    for when in [When::Putting, When::Getting] {
        for (how, is_good) in [
            (How::Late, true),
            (How::Fail, false),
            (How::FailLate, false),
            (How::Never, false),
        ] {
            let cache = Slow::new(MemorySessionCache::new(16));
            let client = client().session_cache(cache.clone()).build().unwrap();
            if when == When::Putting {
                cache.set(when, how);
            }
            let (mut first, _server) = Box::pin(on_tokio(&client, &server)).await.unwrap();
            // A cache that answers late is polled by reads.
            for _ in 0..5 {
                let mut byte = [0];
                let read = tokio::time::timeout(Duration::from_millis(1), first.read(&mut byte));
                assert!(read.await.is_err());
            }
            cache.set(when, how);
            match Box::pin(on_tokio(&client, &server)).await {
                Ok((ours, _)) => assert_eq!(ours.info().is_resumed(), is_good, "{when:?} {how:?}"),
                Err([error, _]) => {
                    assert_eq!((when, how), (When::Getting, How::Never), "{error}");
                    assert!(error.contains("ClientSessionCache"), "{error}");
                }
            }
        }
    }
}
