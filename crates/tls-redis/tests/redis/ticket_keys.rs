//! Ticket keys of a fleet.

use std::collections::HashSet;
use std::time::Duration;

use redis::AsyncCommands as _;
use tls_core::{Answer, TicketKey, TicketKeys as _};
use tls_redis::{Redis, RedisTicketKeys, StoreKey};
use tls_tests::redis_server::RedisServer;
use tokio::time::sleep;

use super::*;

const LIST: &str = "tls:ticket-keys";

async fn sealing(keys: &RedisTicketKeys) -> TicketKey {
    get(keys.sealing_key(&context())).await.unwrap().unwrap()
}

async fn opening(keys: &RedisTicketKeys, id: &[u8; 16]) -> Option<TicketKey> {
    get(keys.opening_key(id, &context())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_servers_one_makes_the_first_key_and_all_seal_with_it() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let fleet: Vec<_> = (0..16).map(|_| RedisTicketKeys::new(node(&server))).collect();
    let mut ids = HashSet::new();
    for node in &fleet {
        ids.insert(sealing(node).await.id);
    }
    // Within minutes of a new period there is one more, which does not seal yet.
    assert_eq!(ids.len(), 1);
    let fields: Vec<String> = raw(&server).await.hkeys(LIST).await.unwrap();
    assert!(fields.len() <= 2, "{fields:?}");
    let left: i64 = raw(&server).await.pttl(LIST).await.unwrap();
    assert!(left > 0);
}

#[tokio::test]
async fn a_server_that_starts_later_opens_what_others_sealed() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let first = RedisTicketKeys::new(node(&server));
    let key = sealing(&first).await;
    drop(first);
    let later = RedisTicketKeys::new(node(&server));
    let found = opening(&later, &key.id).await.unwrap();
    assert_eq!((found.id, *found.secret), (key.id, *key.secret));
    assert_eq!(sealing(&later).await.id, key.id);
    assert!(opening(&later, &[1; 16]).await.is_none());
    // Whoever sends tickets with unknown keys does not make us ask Redis each time.
    assert!(matches!(
        later.opening_key(&[1; 16], &context()),
        Answer::Now(Ok(None))
    ));
}

#[tokio::test]
async fn keys_rotate_and_all_know_a_key_before_any_seals_with_it() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let period = Duration::from_secs(2);
    let fleet: Vec<_> = (0..3)
        .map(|_| RedisTicketKeys::with_rotation(node(&server), period))
        .collect();
    let first = sealing(&fleet[0]).await;
    for node in &fleet {
        assert!(opening(node, &first.id).await.is_some());
    }
    let mut seen = vec![first.id];
    while seen.len() < 4 {
        for node in &fleet {
            let key = sealing(node).await;
            if seen.contains(&key.id) {
                continue;
            }
            for other in &fleet {
                let context = context();
                let known = other.opening_key(&key.id, &context);
                assert!(
                    matches!(&known, Answer::Now(Ok(Some(found))) if *found.secret == *key.secret),
                    "a key seals that is not known to all"
                );
            }
            seen.push(key.id);
        }
        sleep(Duration::from_millis(20)).await;
    }
    // The last but one still opens; the first no longer does once three periods have passed.
    assert!(opening(&fleet[1], &seen[2]).await.is_some());
    eventually("the first key is forgotten", async || {
        opening(&fleet[1], &first.id).await.is_none()
    })
    .await;
    // Old keys are removed from Redis as well.
    eventually("the list is short", async || {
        let fields: Vec<String> = raw(&server).await.hkeys(LIST).await.unwrap();
        fields.len() <= 5
    })
    .await;
}

#[tokio::test]
async fn a_key_made_on_demand_seals_everywhere_once_it_is_known() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let period = Duration::from_secs(4);
    let one = RedisTicketKeys::with_rotation(node(&server), period);
    let other = RedisTicketKeys::with_rotation(node(&server), period);
    // Not when the next period is near, whose key would seal soon after.
    let into_period = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() % period.as_millis();
    eventually("a period begins", async || into_period() < period.as_millis() / 4).await;
    let before = sealing(&one).await.id;
    let made = one.rotate().await.unwrap();
    assert_ne!(
        sealing(&one).await.id,
        made,
        "not yet: the other has not heard of it"
    );
    eventually("the new key seals", async || sealing(&one).await.id == made).await;
    assert!(matches!(
        other.opening_key(&made, &context()),
        Answer::Now(Ok(Some(_)))
    ));
    assert_eq!(sealing(&other).await.id, made);
    assert!(opening(&other, &before).await.is_some());
}

#[tokio::test]
async fn keys_survive_a_redis_that_lost_its_memory() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    let period = Duration::from_secs(20);
    let one = RedisTicketKeys::with_rotation(node(&server), period);
    let key = sealing(&one).await;
    server.kill().await;
    sealing(&one).await; // nobody needs Redis for that
    assert!(opening(&one, &key.id).await.is_some());
    server.run().await;
    eventually("the key is put back", async || {
        raw(&server).await.hlen::<_, usize>(LIST).await.unwrap() > 0
    })
    .await;
    let later = RedisTicketKeys::with_rotation(node(&server), period);
    assert_eq!(*opening(&later, &key.id).await.unwrap().secret, *key.secret);
}

#[tokio::test]
async fn foreign_and_changed_keys_are_not_used_and_do_not_prevent_others() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let mut raw = raw(&server).await;
    let foreign = Redis::new(&server.url(), StoreKey::new([6; 32]))
        .unwrap()
        .with_budget(AMPLE);
    let theirs = sealing(&RedisTicketKeys::new(foreign)).await;
    let fields: Vec<(String, Vec<u8>)> = raw.hgetall(LIST).await.unwrap();
    let (field, value) = fields[0].clone();
    let _: () = raw.hset(LIST, format!("x{field}"), value).await.unwrap();
    let ours = RedisTicketKeys::new(node(&server));
    let key = sealing(&ours).await;
    assert_ne!(key.id, theirs.id);
    assert!(opening(&ours, &theirs.id).await.is_none());

    // Moved to another place in the list, a key is not taken.
    let fields: Vec<(String, Vec<u8>)> = raw.hgetall(LIST).await.unwrap();
    let id = StoreKey::new(SECRET)
        .id()
        .map(|byte| format!("{byte:02x}"))
        .concat();
    let fields: Vec<_> = fields.iter().filter(|(field, _)| field.contains(&id)).collect();
    let _: () = raw.del(LIST).await.unwrap();
    for (field, value) in &fields {
        let _: () = raw.hset(LIST, format!("{field}.1"), value).await.unwrap();
    }
    let later = RedisTicketKeys::new(node(&server));
    let new = sealing(&later).await;
    assert_ne!(new.id, key.id);
    assert!(opening(&later, &key.id).await.is_none());
    for (field, value) in &fields {
        let _: () = raw.hset(LIST, field, value).await.unwrap();
    }
    sleep(Duration::from_millis(150)).await;
    assert!(opening(&later, &key.id).await.is_some(), "in its own place it is");
}
