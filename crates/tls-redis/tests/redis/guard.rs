//! The guard against replays.

use std::time::Duration;

use redis::AsyncCommands as _;
use tls_core::ReplayGuard as _;
use tls_redis::RedisReplayGuard;
use tls_tests::redis_server::RedisServer;
use tokio::time::sleep;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

async fn is_first(guard: &RedisReplayGuard, fingerprint: u8, window: Duration) -> bool {
    get(guard.is_first_use(&[fingerprint; 32], window, &context()))
        .await
        .unwrap()
}

fn trusting(server: &RedisServer) -> RedisReplayGuard {
    RedisReplayGuard::new(node(server)).dangerously_trust_an_empty_redis()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_1_000_concurrent_tries_over_two_guards_one_is_first() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let guards = [trusting(&server), trusting(&server)];
    for fingerprint in 0..3 {
        let tries: Vec<_> = (0..1000)
            .map(|index| {
                let guard = guards[index % 2].clone();
                tokio::spawn(async move { is_first(&guard, fingerprint, WINDOW).await })
            })
            .collect();
        let mut firsts = 0;
        for one in tries {
            firsts += usize::from(one.await.unwrap());
        }
        assert_eq!(firsts, 1);
    }
}

#[tokio::test]
async fn a_fingerprint_is_new_again_after_its_window() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let guard = trusting(&server);
    let short = Duration::from_millis(300);
    assert!(is_first(&guard, 1, short).await);
    assert!(!is_first(&guard, 1, short).await);
    assert!(is_first(&guard, 2, WINDOW).await);
    sleep(short * 2).await;
    assert!(is_first(&guard, 1, short).await);
    assert!(!is_first(&guard, 2, WINDOW).await);
    assert!(is_first(&guard, 3, Duration::MAX).await && !is_first(&guard, 3, Duration::MAX).await);
    let left: i64 = raw(&server)
        .await
        .pttl(format!("tls:replay:{}", "02".repeat(32)))
        .await
        .unwrap();
    assert!((1..=60_001).contains(&left), "{left}");
}

#[tokio::test]
async fn a_redis_that_has_lost_its_memory_is_not_trusted_for_a_window() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    let window = Duration::from_millis(500);
    let guard = RedisReplayGuard::new(node(&server));
    assert!(
        !is_first(&guard, 1, window).await,
        "it has only just begun to remember"
    );
    sleep(window * 2).await;
    assert!(is_first(&guard, 1, window).await);
    assert!(!is_first(&guard, 1, window).await);
    server.kill().await;
    server.run().await;
    eventually("Redis is reached again", async || {
        keys(&server).await.len() == 2 || {
            assert!(!is_first(&guard, 1, window).await, "a replay was accepted");
            false
        }
    })
    .await;
    assert!(!is_first(&guard, 1, window).await);
    sleep(window * 2).await;
    assert!(is_first(&guard, 2, window).await);
    // A mark that is not ours is no mark.
    let _: () = raw(&server).await.set("tls:replay", 1).await.unwrap();
    assert!(!is_first(&guard, 3, window).await);
}
