//! Entries of which any one bit was changed: none is used, and none prevents others.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use tls_core::{ClientSessionCache as _, ServerSessionStore as _, TicketKeys as _, Zeroizing};
use tls_redis::{RedisSessionCache, RedisSessionStore, RedisTicketKeys};
use tls_tests::redis_server::RedisServer;

use crate::{context, get, key, keys, node, raw, ticket12, ticket13};

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// The one entry whose key begins so.
async fn the_only(server: &RedisServer, kind: &str) -> String {
    let mut found = keys(server).await;
    found.retain(|name| name.starts_with(kind));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn no_changed_session_of_a_server_is_found() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let mut raw = raw(&server).await;
    let store = RedisSessionStore::new(node(&server));
    let session = Zeroizing::new(b"the bytes of a session".to_vec());
    let context = context();
    get(store.put(b"id", session.clone(), Duration::from_secs(600), &context))
        .await
        .unwrap();
    let name = the_only(&server, "tls:server:").await;
    let good: Vec<u8> = raw.get(&name).await.unwrap();
    for bit in 0..good.len() * 8 {
        let _: () = raw.set(&name, flipped(&good, bit)).await.unwrap();
        assert!(
            get(store.get(b"id", &context)).await.unwrap().is_none(),
            "bit {bit}"
        );
        assert!(
            get(store.take(b"id", &context)).await.unwrap().is_none(),
            "bit {bit}"
        );
    }
    let _: () = raw.set(&name, &good).await.unwrap();
    assert_eq!(get(store.get(b"id", &context)).await.unwrap(), Some(session));
}

#[tokio::test]
async fn no_changed_session_of_a_client_is_found() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let mut raw = raw(&server).await;
    let cache = RedisSessionCache::new(node(&server));
    let (key, context) = (key("example.com", 1), context());
    get(cache.put(&key, ticket12(7), &context)).await.unwrap();
    let name = the_only(&server, "tls:client12:").await;
    let good: Vec<u8> = raw.get(&name).await.unwrap();
    for bit in 0..good.len() * 8 {
        let _: () = raw.set(&name, flipped(&good, bit)).await.unwrap();
        assert!(
            get(cache.take(&key, &context)).await.unwrap().is_none(),
            "bit {bit}"
        );
    }
    let _: () = raw.del(&name).await.unwrap();

    get(cache.put(&key, ticket13(8), &context)).await.unwrap();
    let name = the_only(&server, "tls:client13:").await;
    let good: Vec<u8> = raw.lpop(&name, None).await.unwrap();
    for bit in 0..good.len() * 8 {
        let _: () = raw.lpush(&name, flipped(&good, bit)).await.unwrap();
        assert!(
            get(cache.take(&key, &context)).await.unwrap().is_none(),
            "bit {bit}"
        );
    }
    let _: () = raw.lpush(&name, good).await.unwrap();
    assert_eq!(
        get(cache.take(&key, &context)).await.unwrap().unwrap().ticket(),
        [0, 8]
    );
}

/// The list of ticket keys.
const LIST: &str = "tls:ticket-keys";

async fn list(raw: &mut MultiplexedConnection) -> Vec<(String, Vec<u8>)> {
    raw.hgetall(LIST).await.unwrap()
}

#[tokio::test]
async fn no_changed_ticket_key_is_used_and_another_is_made() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let mut raw = raw(&server).await;
    let context = context();
    let first = RedisTicketKeys::new(node(&server));
    let key = get(first.sealing_key(&context)).await.unwrap().unwrap();
    drop(first);
    // Shortly before a period ends there is the key of the next one as well.
    let published = list(&mut raw).await;
    let (field, good) = published
        .iter()
        .min_by_key(|(field, _)| field.split('.').next().unwrap().parse::<u64>().unwrap())
        .unwrap();
    for bit in 0..good.len() * 8 {
        let _: () = raw.del(LIST).await.unwrap();
        let _: () = raw.hset(LIST, field, flipped(good, bit)).await.unwrap();
        let later = RedisTicketKeys::new(node(&server));
        assert!(
            get(later.opening_key(&key.id, &context)).await.unwrap().is_none(),
            "bit {bit}"
        );
        let new = get(later.sealing_key(&context)).await.unwrap();
        assert!(
            new.is_some_and(|new| new.id != key.id && *new.secret != *key.secret),
            "bit {bit}"
        );
    }
}
