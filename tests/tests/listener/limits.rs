//! What one client, or many, can make the server hold.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tls_core::{HandshakeType, Phase};
use tls_tests::dial::dial;
use tls_tests::sides::acceptor;
use tls_tokio::{Error, TlsListener, WhenFull};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use crate::{HANDSHAKE, SOMEBODY, assert_adds_up, client, half_a_hello, is_closed, listener, run, settle};

const FIRST_BYTE: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn silence_has_a_limit_of_its_own_and_the_first_byte_starts_that_of_the_handshake() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let (dialer, listener) = listener();
    let seen = Arc::clone(&failures);
    let listener = listener
        .first_byte_timeout(Some(FIRST_BYTE))
        .on_failure(move |address, failure| {
            let Error::Timeout(timeout) = failure.into_error() else {
                panic!("no timeout")
            };
            let what = (
                address.port(),
                timeout.phase,
                timeout.bytes_in,
                timeout.elapsed.as_secs(),
            );
            seen.lock().unwrap().push(what);
        });
    let (handle, _accepted) = run(listener);
    let mut silent = dialer.connect("192.0.2.1:1").unwrap();
    let mut late = dialer.connect("192.0.2.1:2").unwrap();
    let started = Instant::now();
    sleep(FIRST_BYTE - Duration::from_millis(100)).await;
    assert!(!is_closed(&mut silent).await);
    late.write_all(&[22]).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(is_closed(&mut silent).await);
    // The other one has spoken, and has all the time of a handshake from then on.
    sleep(HANDSHAKE - Duration::from_millis(300)).await;
    assert!(!is_closed(&mut late).await);
    sleep(Duration::from_millis(300)).await;
    assert!(is_closed(&mut late).await, "{:?}", started.elapsed());
    let phase = Phase::Reading(HandshakeType::CLIENT_HELLO);
    let expected = [
        (1, phase, 0, FIRST_BYTE.as_secs()),
        (2, phase, 1, HANDSHAKE.as_secs()),
    ];
    assert_eq!(*failures.lock().unwrap(), expected);
    let counts = handle.counts();
    assert_eq!(
        (counts.timed_out.first_byte, counts.timed_out.client_hello),
        (1, 1)
    );
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn an_address_has_no_more_unfinished_connections_than_allowed() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener.max_per_address(Some(2)));
    let mut first = dialer.connect("192.0.2.1:1").unwrap();
    let mut second = half_a_hello(&dialer, "192.0.2.1:2").await;
    let mut third = dialer.connect("192.0.2.1:3").unwrap();
    settle().await;
    assert!(is_closed(&mut third).await);
    assert!(!is_closed(&mut first).await && !is_closed(&mut second).await);
    // Another address is another client.
    client(&dialer, "192.0.2.2:1").await.unwrap().unwrap();
    // Where one has left there is room for one.
    drop(second);
    settle().await;
    for _ in 0..5 {
        // Those that are established do not count.
        client(&dialer, "192.0.2.1:4").await.unwrap().unwrap();
        accepted.recv().await.unwrap();
    }
    let counts = handle.counts();
    assert_eq!((counts.refused, counts.established, counts.waiting), (1, 6, 1));
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_is_one_address() {
    let (dialer, listener) = listener();
    let (handle, _accepted) = run(listener.max_per_address(Some(2)));
    let mut held = Vec::new();
    for (address, refused) in [
        ("[2001:db8::1]:1", 0),
        ("[2001:db8::2:0:0:2]:1", 0),
        ("[2001:db8::3]:1", 1),
        ("[2001:db8:0:1::3]:1", 1),
        ("[::ffff:192.0.2.1]:1", 1),
        ("192.0.2.1:2", 1),
        ("[::ffff:192.0.2.1]:3", 2),
    ] {
        held.push(dialer.connect(address).unwrap());
        settle().await;
        assert_eq!(handle.counts().refused, refused, "{address}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_that_waits_makes_room_for_a_new_one() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener.max_waiting(3));
    let mut silent: Vec<_> = (0..3).map(|_| dialer.connect(SOMEBODY).unwrap()).collect();
    settle().await;
    assert_eq!(handle.counts().shed, 0);
    client(&dialer, SOMEBODY).await.unwrap().unwrap();
    accepted.recv().await.unwrap();
    assert!(is_closed(&mut silent[0]).await);
    assert!(!is_closed(&mut silent[1]).await && !is_closed(&mut silent[2]).await);
    // The honest one has left, so there is room again.
    silent.push(dialer.connect(SOMEBODY).unwrap());
    settle().await;
    assert_eq!(handle.counts().shed, 1);
    silent.push(dialer.connect(SOMEBODY).unwrap());
    settle().await;
    assert!(is_closed(&mut silent[1]).await && !is_closed(&mut silent[2]).await);
    let counts = handle.counts();
    assert_eq!((counts.shed, counts.waiting, counts.established), (2, 3, 1));
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn or_nothing_more_is_accepted_until_there_is_room() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener
        .max_waiting(3)
        .when_full(WhenFull::Wait)
        .first_byte_timeout(Some(FIRST_BYTE)));
    let started = Instant::now();
    let mut silent: Vec<_> = (0..3).map(|_| dialer.connect(SOMEBODY).unwrap()).collect();
    let honest = client(&dialer, SOMEBODY);
    sleep(FIRST_BYTE - Duration::from_millis(100)).await;
    assert_eq!((handle.counts().accepted, handle.counts().shed), (3, 0));
    for io in &mut silent {
        assert!(!is_closed(io).await);
    }
    accepted.recv().await.unwrap();
    honest.await.unwrap().unwrap();
    assert_eq!(started.elapsed().as_secs(), FIRST_BYTE.as_secs());
    // Also one that speaks makes room.
    let mut silent: Vec<_> = (0..3).map(|_| dialer.connect(SOMEBODY).unwrap()).collect();
    let honest = client(&dialer, SOMEBODY);
    settle().await;
    assert_eq!(handle.counts().waiting, 3);
    silent[1].write_all(&[22]).await.unwrap();
    settle().await;
    honest.await.unwrap().unwrap();
    let counts = handle.counts();
    assert_eq!(
        (counts.waiting, counts.handshaking, counts.established),
        (2, 1, 2)
    );
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_part_of_the_handshakes_time() {
    let (dialer, source) = dial();
    // One that keeps its place much longer than it should.
    let acceptor = acceptor().handshake_timeout(Some(HANDSHAKE));
    let listener = TlsListener::with_handshake(source, acceptor, |acceptor, io, context| async move {
        if context.peer_address().unwrap().port() == 1 {
            sleep(HANDSHAKE * 2 - Duration::from_secs(2)).await;
        }
        acceptor.accept_with(io, context).await
    })
    .max_handshakes(1);
    let (handle, mut accepted) = run(listener);
    let _slow = client(&dialer, "192.0.2.1:1");
    settle().await;
    let too_early = client(&dialer, "192.0.2.1:2");
    sleep(HANDSHAKE - Duration::from_secs(1)).await;
    assert_eq!((handle.counts().waiting, handle.counts().handshaking), (1, 1));
    let late_enough = client(&dialer, "192.0.2.1:3");
    assert!(too_early.await.unwrap().is_err());
    assert_eq!(handle.counts().timed_out.queue, 1);
    late_enough.await.unwrap().unwrap();
    let mut ports = Vec::new();
    while let Ok(stream) = accepted.try_recv() {
        ports.push(stream.address.port());
    }
    assert!(ports.ends_with(&[3]), "{ports:?}");
    assert_adds_up(&handle.counts());
}

#[tokio::test(start_paused = true)]
async fn who_got_its_place_late_has_only_the_rest_of_its_time() {
    let (dialer, listener) = listener();
    let (handle, _accepted) = run(listener.max_handshakes(1));
    let _first = half_a_hello(&dialer, SOMEBODY).await;
    sleep(Duration::from_secs(3)).await;
    let mut second = half_a_hello(&dialer, SOMEBODY).await;
    sleep(HANDSHAKE - Duration::from_secs(2)).await;
    let counts = handle.counts();
    assert_eq!((counts.timed_out.client_hello, counts.handshaking), (1, 1));
    assert!(!is_closed(&mut second).await);
    sleep(Duration::from_secs(2)).await;
    assert!(is_closed(&mut second).await);
    assert_eq!(handle.counts().timed_out.client_hello, 2);
}
