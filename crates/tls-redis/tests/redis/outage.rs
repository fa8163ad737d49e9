//! Redis slow, gone, or lying.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use tls_core::{
    ClientSessionCache as _, ReplayGuard as _, ServerSessionStore as _, TicketKeys as _, Zeroizing,
};
use tls_redis::{
    DEFAULT_BUDGET, Redis, RedisReplayGuard, RedisSessionCache, RedisSessionStore, RedisTicketKeys, StoreKey,
};
use tls_tests::redis_server::RedisServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The budget and what a busy machine adds.
const SOON: Duration = Duration::from_millis(900);

struct Hooks {
    cache: RedisSessionCache,
    store: RedisSessionStore,
    keys: RedisTicketKeys,
    guard: RedisReplayGuard,
}

impl Hooks {
    fn new(url: &str) -> Self {
        let redis = Redis::new(url, StoreKey::new(SECRET)).unwrap();
        Self {
            cache: RedisSessionCache::new(redis.clone()),
            store: RedisSessionStore::new(redis.clone()),
            keys: RedisTicketKeys::new(redis.clone()),
            guard: RedisReplayGuard::new(redis).dangerously_trust_an_empty_redis(),
        }
    }

    async fn works(&self) -> bool {
        let id = [1; 32];
        let put = get(self.store.put(&id, Zeroizing::new(vec![1]), MINUTE, &context())).await;
        put.is_ok() && matches!(get(self.store.take(&id, &context())).await, Ok(Some(_)))
    }

    /// Each operation once: nothing is found, nothing is early, and each takes no longer than it may.
    async fn fails(&self) {
        let (key, context) = (key("example.com", 1), context());
        for operation in 0..7 {
            let start = Instant::now();
            match operation {
                0 => assert!(!matches!(get(self.cache.take(&key, &context)).await, Ok(Some(_)))),
                1 => drop(get(self.cache.put(&key, ticket13(1), &context)).await),
                2 => drop(get(self.cache.remove(&key, &context)).await),
                3 => drop(get(self.store.put(b"id", Zeroizing::new(vec![1]), MINUTE, &context)).await),
                4 => assert!(!matches!(get(self.store.get(b"id", &context)).await, Ok(Some(_)))),
                5 => assert!(!matches!(
                    get(self.store.take(b"id", &context)).await,
                    Ok(Some(_))
                )),
                _ => assert!(!matches!(
                    get(self.keys.opening_key(&[1; 16], &context)).await,
                    Ok(Some(_))
                )),
            }
            assert!(
                start.elapsed() < SOON,
                "operation {operation}: {:?}",
                start.elapsed()
            );
        }
        let start = Instant::now();
        assert!(
            !get(self.guard.is_first_use(&[9; 32], MINUTE, &context))
                .await
                .unwrap()
        );
        assert!(start.elapsed() < SOON);
    }
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What was logged in this thread, which is all of a test with its runtime.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// One subscriber for all threads: with one per thread, tracing can take a place that logs for disabled because the
    /// thread that came there first had none.
    fn start() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(|| Self)
                .init()
        });
    }

    fn text() -> String {
        LOG.with_borrow(|log| String::from_utf8_lossy(log).into_owned())
    }

    fn lines(with: &str) -> usize {
        Self::text().lines().filter(|line| line.contains(with)).count()
    }
}

#[tokio::test]
async fn a_redis_that_stands_still_costs_no_more_than_the_budget() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    Log::start();
    let hooks = Hooks::new(&server.url());
    eventually("it works", async || hooks.works().await).await;
    let sealing = get(hooks.keys.sealing_key(&context())).await.unwrap().unwrap();
    server.stop().await;
    let start = Instant::now();
    let mut rounds = 0;
    // Long enough for new connections to be tried, which the kernel accepts.
    while start.elapsed() < Duration::from_secs(5) {
        hooks.fails().await;
        rounds += 1;
    }
    assert!(
        rounds * 8 > 60,
        "in an outage most operations fail at once: {rounds} rounds"
    );
    let same = get(hooks.keys.sealing_key(&context())).await.unwrap().unwrap();
    assert_eq!(same.id, sealing.id, "tickets need no Redis");
    assert_eq!(
        Log::lines("WARN"),
        1,
        "a warning, and no flood of them: {}",
        Log::text()
    );
    server.go_on().await;
    eventually("it works again", async || hooks.works().await).await;
    assert_eq!(Log::lines("answers again"), 1);
}

#[tokio::test]
async fn a_redis_that_was_killed_and_restarted_is_found_again() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    let hooks = Hooks::new(&server.url());
    eventually("it works", async || hooks.works().await).await;
    for _ in 0..2 {
        server.kill().await;
        for _ in 0..5 {
            hooks.fails().await;
        }
        server.run().await;
        eventually("it works again", async || hooks.works().await).await;
    }
}

#[tokio::test]
async fn a_ping_tells_whether_there_is_an_answer() {
    let Some(mut server) = RedisServer::reserve() else {
        return;
    };
    let redis = node(&server);
    assert!(redis.ping().await.is_err());
    server.run().await;
    eventually("it answers", async || redis.ping().await.is_ok()).await;
    assert!(keys(&server).await.is_empty(), "nothing is changed");
}

#[tokio::test]
async fn a_redis_that_comes_later_is_found() {
    let Some(mut server) = RedisServer::reserve() else {
        return;
    };
    let hooks = Hooks::new(&server.url());
    hooks.fails().await;
    assert!(
        get(hooks.keys.sealing_key(&context())).await.is_err(),
        "no tickets"
    );
    server.run().await;
    eventually("it works", async || hooks.works().await).await;
    eventually("there are ticket keys", async || {
        matches!(get(hooks.keys.sealing_key(&context())).await, Ok(Some(_)))
    })
    .await;
}

/// Forwards connections; those that exist when `is_dead` is set stay open, and nothing passes any more.
async fn forward(listener: TcpListener, to: u16, is_dead: Arc<AtomicBool>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (client, server) = (client.into_split(), server.into_split());
        let was_dead = is_dead.load(Ordering::Relaxed);
        for (mut from, mut to) in [(client.0, server.1), (server.0, client.1)] {
            let is_dead = Arc::clone(&is_dead);
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut bytes).await {
                    if was_dead || !is_dead.load(Ordering::Relaxed) {
                        let _ = to.write_all(&bytes[..count]).await;
                    }
                }
            });
        }
    }
}

#[tokio::test]
async fn a_connection_that_died_in_silence_is_replaced() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let is_dead = Arc::new(AtomicBool::new(false));
    let port = server
        .url()
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let forwarder = tokio::spawn(forward(listener, port, Arc::clone(&is_dead)));
    let hooks = Hooks::new(&url);
    eventually("it works", async || hooks.works().await).await;
    is_dead.store(true, Ordering::Relaxed);
    hooks.fails().await;
    eventually("it works again", async || hooks.works().await).await;
    forwarder.abort();
}

#[tokio::test]
async fn nonsense_and_silence_are_misses() {
    let nothing: &[u8] = b"";
    for lie in [
        nothing,
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"$3\r\nabc\r\n",
        b"*1\r\n+OK\r\n",
        b"*2\r\n:1\r\n+OK\r\n",
        b"-ERR no\r\n",
        b"-LOADING later\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xff\xff\xff",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let liar = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                        for _ in 0..4 {
                            let _ = stream.write_all(lie).await;
                        }
                    }
                });
            }
        });
        Hooks::new(&url).fails().await;
        liar.abort();
    }
}

#[tokio::test]
async fn the_budget_can_be_set_and_includes_connecting() {
    // Accepts, and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    for budget in [Duration::from_millis(300), DEFAULT_BUDGET] {
        let redis = Redis::new(&url, StoreKey::new(SECRET))
            .unwrap()
            .with_budget(budget);
        let start = Instant::now();
        assert!(
            get(RedisSessionStore::new(redis).get(b"id", &context()))
                .await
                .is_err()
        );
        let took = start.elapsed();
        assert!(took >= budget && took < budget + SOON, "{took:?}");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_bad_url_is_refused_and_its_password_not_repeated() {
    let key = || StoreKey::new(SECRET);
    let error = Redis::new("http://:hunter2@localhost/", key()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let redis = Redis::new("redis://:hunter2@localhost:1/", key()).unwrap();
    let keys = RedisTicketKeys::new(redis.clone());
    assert!(!format!("{redis:?} {keys:?}").contains("hunter2"));
}

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    assert!(Redis::new("redis://127.0.0.1/", StoreKey::new(SECRET)).is_err());
}
