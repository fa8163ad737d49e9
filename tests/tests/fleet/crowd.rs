//! A thousand clients that reconnect, each time to another server.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tls_redis::RedisTicketKeys;

use crate::{Client, Fleet, PATIENT, Tally, eventually, round};

const CLIENTS: usize = 1000;

/// Of the keys that seal tickets: short, so that new ones are in use soon; they open tickets three times as long.
const PERIOD: Duration = Duration::from_secs(10);

/// How many rounds of reconnections there are at least.
const ROUNDS: usize = 2;

/// How many keys the tickets of these clients were sealed with so far.
fn keys_seen(clients: &[Client]) -> usize {
    let ids: HashSet<[u8; 16]> = clients
        .iter()
        .flat_map(|client| client.cache.key_ids.lock().unwrap().clone())
        .collect();
    ids.len()
}

/// Says what came out, and that it is good.
fn judge(what: &str, tally: &Tally, started: Instant) {
    println!(
        "{what}: {} reconnections of {CLIENTS} clients in {:.1} s, {} failed, {:.2} % resumed",
        tally.connections,
        started.elapsed().as_secs_f64(),
        tally.failed.len(),
        tally.percent()
    );
    tally.assert_none_failed();
    assert!(tally.percent() > 90.0, "{:.2} % resumed", tally.percent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_rotations_of_the_ticket_keys_cost_a_thousand_clients_nothing() {
    let period = PERIOD.as_secs().to_string();
    let Some(fleet) = Fleet::start(&[&PATIENT[..], &["--ticket-key-period", &period]].concat()).await else {
        return;
    };
    let (ports, clients) = (fleet.ports(), fleet.clients(CLIENTS));
    let started = Instant::now();
    let first = round(ports, &clients, 0).await;
    first.assert_none_failed();
    assert_eq!(first.resumed, 0);
    let keys_at_first = keys_seen(&clients);

    let member = RedisTicketKeys::with_rotation(fleet.member(), PERIOD);
    let is_rotated = AtomicBool::new(false);
    let rotate = async {
        for _ in 0..3 {
            let before = keys_seen(&clients);
            member.rotate().await.unwrap();
            eventually("a new key seals", async || keys_seen(&clients) > before).await;
        }
        is_rotated.store(true, Relaxed);
    };
    let reconnect = async {
        let (mut tally, mut number) = (Tally::default(), 0);
        while number < ROUNDS || !is_rotated.load(Relaxed) {
            number += 1;
            tally.join(round(ports, &clients, number).await);
        }
        // Once more with the last key.
        tally.join(round(ports, &clients, number + 1).await);
        tally
    };
    let (tally, ()) = tokio::join!(reconnect, rotate);
    let keys = keys_seen(&clients);
    assert!(keys >= keys_at_first + 3, "{keys_at_first} and then {keys} keys");
    judge(&format!("tickets under {keys} keys"), &tally, started);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_resume_the_sessions_that_are_in_redis() {
    let Some(fleet) = Fleet::start(&[&PATIENT[..], &["--stateful"]].concat()).await else {
        return;
    };
    let (ports, clients) = (fleet.ports(), fleet.clients(CLIENTS));
    let started = Instant::now();
    let first = round(ports, &clients, 0).await;
    first.assert_none_failed();
    assert_eq!(first.resumed, 0);
    let mut tally = Tally::default();
    for number in 1..=ROUNDS {
        tally.join(round(ports, &clients, number).await);
    }
    judge("sessions in Redis", &tally, started);
}
