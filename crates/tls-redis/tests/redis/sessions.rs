//! Sessions of clients and servers.

use std::sync::Arc;
use std::time::Duration;

use redis::AsyncCommands as _;
use tls_core::{ClientSessionCache as _, ServerSessionStore as _, SessionKey, Zeroizing};
use tls_redis::{Redis, RedisSessionCache, RedisSessionStore, StoreKey};
use tls_tests::redis_server::RedisServer;
use tokio::time::sleep;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

async fn take(cache: &RedisSessionCache, key: &SessionKey) -> Option<u16> {
    let session = get(cache.take(key, &context())).await.unwrap();
    session.as_ref().map(number)
}

async fn put(cache: &RedisSessionCache, key: &SessionKey, session: ClientSession) {
    get(cache.put(key, session, &context())).await.unwrap();
}

async fn store(store: &RedisSessionStore, id: &[u8], bytes: &[u8]) {
    let bytes = Zeroizing::new(bytes.to_vec());
    get(store.put(id, bytes, HOUR, &context())).await.unwrap();
}

async fn look_up(store: &RedisSessionStore, id: &[u8]) -> Option<Vec<u8>> {
    let found = get(store.get(id, &context())).await.unwrap();
    found.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn tickets_are_given_once_newest_first_and_eight_are_kept() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let cache = RedisSessionCache::new(node(&server));
    let other = RedisSessionCache::new(node(&server));
    let key = key("example.com", 1);
    assert_eq!(take(&cache, &key).await, None);
    for ticket in 0..10 {
        put(&cache, &key, ticket13(ticket)).await;
    }
    for ticket in (2..10).rev() {
        let cache = if ticket % 2 == 0 { &cache } else { &other };
        assert_eq!(take(cache, &key).await, Some(ticket));
    }
    assert_eq!(take(&cache, &key).await, None);
    assert!(keys(&server).await.is_empty());
}

#[tokio::test]
async fn a_tls_1_2_session_stays_until_the_next_and_gives_way_to_tickets_of_tls_1_3() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let cache = RedisSessionCache::new(node(&server));
    let key = key("example.com", 1);
    put(&cache, &key, ticket12(1)).await;
    put(&cache, &key, ticket12(2)).await;
    put(&cache, &key, ticket13(3)).await;
    assert_eq!(take(&cache, &key).await, Some(3));
    assert_eq!(take(&cache, &key).await, Some(2));
    assert_eq!(take(&cache, &key).await, Some(2));
}

#[tokio::test]
async fn servers_security_domains_and_prefixes_are_apart() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let cache = RedisSessionCache::new(node(&server));
    let elsewhere = RedisSessionCache::new(node(&server).with_prefix("other:"));
    put(&cache, &key("example.com", 1), ticket13(1)).await;
    put(&cache, &key("example.com", 1), ticket12(2)).await;
    for name in keys(&server).await {
        assert!(name.starts_with("tls:client1"), "{name}");
    }
    for other in [key("example.net", 1), key("example.com", 2)] {
        assert_eq!(take(&cache, &other).await, None);
        // Nothing to remove is no error.
        get(cache.remove(&other, &context())).await.unwrap();
    }
    assert_eq!(take(&elsewhere, &key("example.com", 1)).await, None);
    assert_eq!(take(&cache, &key("example.com", 1)).await, Some(1));
    get(cache.remove(&key("example.com", 1), &context()))
        .await
        .unwrap();
    assert_eq!(take(&cache, &key("example.com", 1)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_takers_no_two_get_the_same_ticket_or_session() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let caches: Vec<_> = (0..4).map(|_| RedisSessionCache::new(node(&server))).collect();
    let stores: Vec<_> = (0..4).map(|_| RedisSessionStore::new(node(&server))).collect();
    let key = Arc::new(key("example.com", 1));
    for round in 0..10 {
        for ticket in 0..8 {
            put(&caches[0], &key, ticket13(ticket)).await;
        }
        store(&stores[0], b"id", b"session").await;
        let takers: Vec<_> = (0..64)
            .map(|taker| {
                let (cache, store) = (caches[taker % 4].clone(), stores[taker % 4].clone());
                let key = Arc::clone(&key);
                tokio::spawn(async move {
                    let taken = get(store.take(b"id", &context())).await.unwrap();
                    (take(&cache, &key).await, taken.is_some())
                })
            })
            .collect();
        let (mut tickets, mut sessions) = (Vec::new(), 0);
        for taker in takers {
            let (ticket, has_session) = taker.await.unwrap();
            tickets.extend(ticket);
            sessions += usize::from(has_session);
        }
        tickets.sort_unstable();
        assert_eq!(tickets, [0, 1, 2, 3, 4, 5, 6, 7], "round {round}");
        assert_eq!(sessions, 1, "round {round}");
    }
}

#[tokio::test]
async fn sessions_expire() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let short = Duration::from_millis(400);
    let cache = RedisSessionCache::new(node(&server)).with_time_to_live(short);
    let sessions = RedisSessionStore::new(node(&server));
    put(&cache, &key("example.com", 1), ticket13(1)).await;
    put(&cache, &key("example.com", 1), ticket12(2)).await;
    get(sessions.put(b"id", Zeroizing::new(vec![1]), short, &context()))
        .await
        .unwrap();
    get(sessions.put(b"never", Zeroizing::new(vec![1]), Duration::ZERO, &context()))
        .await
        .unwrap();
    assert_eq!(keys(&server).await.len(), 3);
    for name in keys(&server).await {
        let left: i64 = raw(&server).await.pttl(name).await.unwrap();
        assert!((0..=400).contains(&left), "{left}");
    }
    sleep(short * 2).await;
    assert!(keys(&server).await.is_empty());
    assert_eq!(take(&cache, &key("example.com", 1)).await, None);
    assert_eq!(look_up(&sessions, b"id").await, None);
}

#[tokio::test]
async fn a_session_of_a_server_is_found_by_all_and_taken_by_one() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let one = RedisSessionStore::new(node(&server));
    let other = RedisSessionStore::new(node(&server));
    store(&one, b"id", b"first").await;
    store(&one, b"id", b"session").await;
    for node in [&one, &other, &one] {
        assert_eq!(look_up(node, b"id").await.as_deref(), Some(&b"session"[..]));
    }
    let taken = get(other.take(b"id", &context())).await.unwrap().unwrap();
    assert_eq!(*taken, b"session");
    assert_eq!(look_up(&one, b"id").await, None);
    let too_long = Zeroizing::new(vec![0; 1 << 20]);
    assert!(get(one.put(b"id", too_long, HOUR, &context())).await.is_err());
}

#[tokio::test]
async fn redis_sees_no_session() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let sessions = RedisSessionStore::new(node(&server));
    store(&sessions, b"id", b"a secret that nobody may see").await;
    let stored: Vec<u8> = raw(&server).await.get("tls:server:6964").await.unwrap();
    assert_eq!(stored.len(), 28 + StoreKey::OVERHEAD);
    assert!(!stored.windows(6).any(|part| part == b"secret"));
}

#[tokio::test]
async fn changed_swapped_and_foreign_entries_are_misses() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let mut raw = raw(&server).await;
    let sessions = RedisSessionStore::new(node(&server));
    let cache = RedisSessionCache::new(node(&server));
    let key = key("example.com", 1);
    store(&sessions, b"one", b"session of one").await;
    store(&sessions, b"two", b"session of two").await;
    let one: Vec<u8> = raw.get("tls:server:6f6e65").await.unwrap();
    let two: Vec<u8> = raw.get("tls:server:74776f").await.unwrap();

    let mut changed = one.clone();
    changed[40] ^= 1;
    for wrong in [
        two,
        changed,
        one[..one.len() - 1].to_vec(),
        Vec::new(),
        vec![0; 2 << 20],
    ] {
        let _: () = raw.set("tls:server:6f6e65", wrong).await.unwrap();
        assert_eq!(look_up(&sessions, b"one").await, None);
        assert!(get(sessions.take(b"one", &context())).await.unwrap().is_none());
    }
    // Put back in its place it is good again: Redis can do that.
    let _: () = raw.set("tls:server:6f6e65", one.clone()).await.unwrap();
    assert_eq!(
        look_up(&sessions, b"one").await.as_deref(),
        Some(&b"session of one"[..])
    );

    let foreign = Redis::new(&server.url(), StoreKey::new([6; 32]))
        .unwrap()
        .with_budget(AMPLE);
    assert_eq!(
        look_up(&RedisSessionStore::new(foreign.clone()), b"one").await,
        None
    );
    let both = foreign.with_further_key(StoreKey::new(SECRET));
    assert!(look_up(&RedisSessionStore::new(both), b"one").await.is_some());

    // A client's list: what is useless makes way for what is below; a server's session is no client's.
    put(&cache, &key, ticket13(1)).await;
    let name = keys(&server)
        .await
        .into_iter()
        .find(|name| name.contains("client13"))
        .unwrap();
    for wrong in [vec![7; 100], one] {
        let _: () = raw.lpush(&name, wrong).await.unwrap();
    }
    assert_eq!(take(&cache, &key).await, Some(1));
    // Not even a list.
    let _: () = raw.set(&name, "text").await.unwrap();
    assert!(get(cache.take(&key, &context())).await.is_err());
}
