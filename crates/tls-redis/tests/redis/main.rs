//! Everything with a real `redis-server`, which each test starts for itself; skipped with a message where there is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod guard;
mod outage;
mod sessions;
mod tampered;
mod ticket_keys;

use std::time::{Duration, Instant, SystemTime};

use redis::aio::MultiplexedConnection;
use tls_core::{Answer, ClientSession, ConnectionContext, ServerName, SessionKey};
use tls_redis::{Redis, StoreKey};
use tls_tests::redis_server::RedisServer;

/// The secret of the store in most tests.
const SECRET: [u8; 32] = [5; 32];

/// Where the budget is not what is tested: a busy machine is no failure.
const AMPLE: Duration = Duration::from_secs(10);

/// One process of a fleet.
fn node(server: &RedisServer) -> Redis {
    Redis::new(&server.url(), StoreKey::new(SECRET))
        .unwrap()
        .with_budget(AMPLE)
}

/// Redis without us.
async fn raw(server: &RedisServer) -> MultiplexedConnection {
    redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

async fn keys(server: &RedisServer) -> Vec<String> {
    let mut keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut raw(server).await)
        .await
        .unwrap();
    keys.sort();
    keys
}

fn context() -> ConnectionContext {
    ConnectionContext::new()
}

async fn get<T>(answer: Answer<'_, T>) -> T {
    match answer {
        Answer::Now(value) => value,
        Answer::Later(future) => future.await,
    }
}

/// Tries until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn key(server: &str, domain: u8) -> SessionKey {
    SessionKey {
        server: ServerName::try_from(server.to_owned()).unwrap(),
        security_domain: [domain; 32],
    }
}

/// A session for two hours; `ticket` tells it from others.
fn session(version: u16, ticket: u16) -> ClientSession {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let (suite, secret_len) = match version {
        0x0304 => (0x1301_u16, 32_u8),
        _ => (0xc02f, 48),
    };
    let mut bytes = b"TLSc\x02\x00".to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(suite.to_be_bytes());
    bytes.push(secret_len);
    bytes.extend(vec![0xa5; usize::from(secret_len)]);
    bytes.extend(now.to_be_bytes());
    bytes.extend(now.to_be_bytes());
    bytes.extend(7200_u32.to_be_bytes());
    // age_add, max_early_data, no ALPN, no name, no extra bytes
    bytes.extend([0; 4 + 4 + 1 + 1 + 2]);
    bytes.extend([0, 2]);
    bytes.extend(ticket.to_be_bytes());
    bytes.push(0);
    tls_tests::session::read(bytes)
}

fn ticket13(ticket: u16) -> ClientSession {
    session(0x0304, ticket)
}

fn ticket12(ticket: u16) -> ClientSession {
    session(0x0303, ticket)
}

fn number(session: &ClientSession) -> u16 {
    u16::from_be_bytes(session.ticket().try_into().unwrap())
}
