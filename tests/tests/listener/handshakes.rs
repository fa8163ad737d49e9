//! Handshakes run beside the accept loop, and what fails there stays there.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tls_core::ErrorKind;
use tls_tests::dial::dial;
use tls_tests::script::poll_times;
use tls_tests::sides::acceptor;
use tls_tokio::{Error, TlsListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use crate::{HANDSHAKE, SOMEBODY, assert_adds_up, client, half_a_hello, is_closed, listener, run, settle};

#[tokio::test(start_paused = true)]
async fn a_slow_client_does_not_hold_up_another() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let started = Instant::now();
    let _slow = half_a_hello(&dialer, "192.0.2.1:1").await;
    let _silent = dialer.connect("192.0.2.1:2").unwrap();
    let honest = client(&dialer, "192.0.2.1:3");
    let stream = accepted.recv().await.unwrap();
    honest.await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(stream.address, "192.0.2.1:3".parse().unwrap());
    let counts = handle.counts();
    assert_eq!((counts.waiting, counts.handshaking, counts.open), (1, 1, 1));
    assert_adds_up(&counts);
    drop(stream);
    assert_eq!(handle.counts().open, 0);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_handshakes_at_once_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (dialer, source) = dial();
    let gauges = (Arc::clone(&now), Arc::clone(&most));
    let listener = TlsListener::with_handshake(source, acceptor(), move |acceptor, io, context| {
        let (now, most) = gauges.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Relaxed);
            acceptor.accept_with(io, context).await
        }
    })
    .max_handshakes(3);
    let (_, mut accepted) = run(listener);
    let started = Instant::now();
    let clients: Vec<_> = (0..10).map(|_| client(&dialer, SOMEBODY)).collect();
    for client in clients {
        accepted.recv().await.unwrap();
        client.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Relaxed), 3);
    assert_eq!(started.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn streams_that_nobody_takes_keep_their_places() {
    let (dialer, listener) = listener();
    let mut listener = listener.max_handshakes(2);
    let _clients: Vec<_> = (0..5).map(|_| client(&dialer, SOMEBODY)).collect();
    let _taken = listener.accept().await.unwrap();
    settle().await;
    // The one that was taken, and two that were not.
    assert_eq!(listener.counts().established, 3);
    let _taken = listener.accept().await.unwrap();
    settle().await;
    assert_eq!(listener.counts().established, 4);
}

#[tokio::test(start_paused = true)]
async fn failures_go_to_the_hook_and_into_the_counts_but_not_to_the_accept_loop() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let (dialer, listener) = listener();
    let seen = Arc::clone(&failures);
    let listener = listener.on_failure(move |address, failure| {
        let (error, io) = failure.into_parts();
        let what = match &error {
            Error::Tls(error) => match error.kind() {
                ErrorKind::NotTls { .. } => "not TLS",
                ErrorKind::Truncated => "truncated",
                ErrorKind::BadBytes(_) => "bad bytes",
                _ => "another error",
            },
            Error::Timeout(_) => "timeout",
            _ => "something else",
        };
        seen.lock().unwrap().push((address.port(), what));
        // The transport is the hook's: nothing was written to one that does not speak TLS.
        if what == "not TLS" {
            tokio::spawn(async move {
                let mut io = io;
                io.write_all(b"HTTP/1.0 400 This is TLS\r\n\r\n").await.unwrap();
            });
        }
    });
    let (handle, mut accepted) = run(listener);
    let mut http = dialer.connect("192.0.2.1:1").unwrap();
    http.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    http.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 400"), "{answer:?}");
    drop(dialer.connect("192.0.2.1:2").unwrap());
    settle().await;
    let mut bad = dialer.connect("192.0.2.1:3").unwrap();
    bad.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await.unwrap();
    settle().await;
    let mut slow = half_a_hello(&dialer, "192.0.2.1:4").await;
    sleep(HANDSHAKE + Duration::from_secs(1)).await;
    assert!(is_closed(&mut slow).await);

    client(&dialer, "192.0.2.1:5").await.unwrap().unwrap();
    accepted.recv().await.unwrap();
    let expected = [(1, "not TLS"), (2, "truncated"), (3, "bad bytes"), (4, "timeout")];
    assert_eq!(*failures.lock().unwrap(), expected);
    let counts = handle.counts();
    let failed = counts.failed;
    assert_eq!((failed.not_tls, failed.truncated, failed.bad_bytes), (1, 1, 1));
    assert_eq!((failed.total(), counts.timed_out.client_hello), (3, 1));
    assert_eq!((counts.timed_out.total(), counts.established), (1, 1));
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handshake_is_a_failure_of_that_one() {
    let (dialer, source) = dial();
    let listener = TlsListener::with_handshake(source, acceptor(), |acceptor, io, context| async move {
        assert_ne!(context.peer_address().unwrap().port(), 1, "a panic for this test");
        acceptor.accept_with(io, context).await
    })
    .max_handshakes(1);
    let (handle, mut accepted) = run(listener);
    assert!(client(&dialer, "192.0.2.1:1").await.unwrap().is_err());
    client(&dialer, "192.0.2.1:2").await.unwrap().unwrap();
    accepted.recv().await.unwrap();
    let counts = handle.counts();
    assert_eq!((counts.failed.other, counts.established), (1, 1));
    assert_adds_up(&counts);
}

#[tokio::test(start_paused = true)]
async fn accept_that_is_dropped_at_any_poll_loses_no_connection() {
    const CLIENTS: usize = 30;
    let (dialer, mut listener) = listener();
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&dialer, SOMEBODY)).collect();
    let mut streams = Vec::new();
    let mut dropped = 0;
    for polls in (1..=3).cycle() {
        match poll_times(listener.accept(), polls).await {
            Some(stream) => streams.push(stream.unwrap()),
            None => dropped += 1,
        }
        if streams.len() == CLIENTS {
            break;
        }
        assert!(dropped < 100_000, "{:?}", listener.counts());
    }
    assert!(dropped > 0);
    for client in clients {
        client.await.unwrap().unwrap();
    }
    assert_eq!(listener.counts().established, CLIENTS as u64);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_listener_ends_handshakes_but_no_streams() {
    let (dialer, mut listener) = listener();
    let handle = listener.handle();
    let mut slow = half_a_hello(&dialer, SOMEBODY).await;
    let mut silent = dialer.connect(SOMEBODY).unwrap();
    let client = client(&dialer, SOMEBODY);
    let mut stream = listener.accept().await.unwrap();
    let mut client = client.await.unwrap().unwrap();
    drop(listener);
    settle().await;
    assert!(dialer.is_closed());
    assert!(is_closed(&mut slow).await && is_closed(&mut silent).await);
    stream.stream.write_all(b"still here").await.unwrap();
    let mut read = [0; 10];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
    let counts = handle.counts();
    assert_eq!((counts.stopped, counts.established, counts.open), (2, 1, 1));
    assert_adds_up(&counts);
}
