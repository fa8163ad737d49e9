//! Redis goes away and comes back while clients reconnect.

use std::time::{Duration, Instant};

use crate::{Fleet, Tally, eventually, round};

const CLIENTS: usize = 100;

/// Rounds with a Redis that is killed in the middle, without it, and with another one that knows nothing: what became
/// of the connections in each, and that in the end all are resumed again.
async fn outage(fleet: &mut Fleet) -> [Tally; 3] {
    let (ports, clients) = (fleet.ports(), fleet.clients(CLIENTS));
    round(ports, &clients, 0).await.assert_none_failed();
    let before = round(ports, &clients, 1).await;
    assert_eq!(before.resumed, CLIENTS, "{before:?}");
    let (during, ()) = tokio::join!(round(ports, &clients, 2), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fleet.redis.kill().await;
    });
    let without = round(ports, &clients, 3).await;
    fleet.redis.run().await;
    let started = Instant::now();
    let (mut after, mut number) = (Tally::default(), 3);
    eventually("all resume again", async || {
        number += 1;
        let tally = round(ports, &clients, number).await;
        let all = tally.resumed == CLIENTS;
        after.join(tally);
        all
    })
    .await;
    for (when, tally) in [
        ("while Redis is killed", &during),
        ("without Redis", &without),
        ("with a new Redis", &after),
    ] {
        println!(
            "{when}: {} reconnections, {} failed, {:.2} % resumed",
            tally.connections,
            tally.failed.len(),
            tally.percent()
        );
        tally.assert_none_failed();
    }
    println!(
        "all were resumed {:.1} s after Redis was there again",
        started.elapsed().as_secs_f64()
    );
    [during, without, after]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_resume_without_redis_and_a_new_redis_gets_the_keys_back() {
    let Some(mut fleet) = Fleet::start(&["--ticket-key-period", "60"]).await else {
        return;
    };
    let [during, without, after] = outage(&mut fleet).await;
    // The keys are in the servers.
    for tally in [during, without, after] {
        assert_eq!(tally.resumed, tally.connections);
    }
    // A server that comes later has them from Redis, which has them from the others.
    let client = fleet.client(tls_core::ProtocolVersion::TLS13);
    assert!(!client.visit(fleet.servers[0].port).await.unwrap());
    fleet.grow(&["--ticket-key-period", "60"]).await;
    eventually("the third server resumes", async || {
        client.visit(fleet.servers[0].port).await.unwrap();
        client.visit(fleet.servers[2].port).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_sessions_are_gone_with_redis_and_new_ones_are_made_when_it_is_back() {
    // Longer than a busy machine keeps a Redis waiting that is there; one that is not there refuses at once.
    let Some(mut fleet) = Fleet::start(&["--stateful", "--redis-timeout", "2"]).await else {
        return;
    };
    let [_, without, _] = outage(&mut fleet).await;
    assert_eq!(without.resumed, 0);
    for server in &fleet.servers {
        server.process.wait_for("Redis answers again").await;
    }
}
