//! The end of a listener: what finishes, what is cut off, and when.

use std::future::pending;
use std::time::Duration;

use tls_tests::dial::{ServerEnd, dial};
use tls_tests::sides::{acceptor, records};
use tls_tokio::{HandshakeFailure, TlsListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    SOMEBODY, assert_adds_up, client, client_hello, greet, half_a_hello, is_closed, listener, run, settle,
};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn without_connections_a_drain_is_over_at_once_and_nobody_listens_any_more() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let started = Instant::now();
    let drained = handle.drain(LIMIT).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(
        (drained.finished, drained.forced, drained.left, drained.handshakes),
        (0, 0, 0, 0)
    );
    assert!(dialer.is_closed() && dialer.connect(SOMEBODY).is_none());
    assert!(accepted.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_are_told_and_those_that_end_in_time_have_finished() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    for seconds in 0..4 {
        client(&dialer, SOMEBODY).await.unwrap().unwrap();
        let stream = accepted.recv().await.unwrap();
        let draining = stream.guard.draining();
        tokio::spawn(stream.guard.run(async move {
            draining.cancelled().await;
            sleep(Duration::from_secs(seconds)).await;
            drop(stream.stream);
        }));
    }
    sleep(LIMIT * 2).await;
    assert_eq!(handle.counts().open, 4);
    let started = Instant::now();
    let drained = handle.drain(LIMIT).await;
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!((drained.finished, drained.forced, drained.left), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_rest_is_cut_off() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let mut clients = Vec::new();
    for stubborn in [true, false, true, true, false] {
        clients.push(client(&dialer, SOMEBODY).await.unwrap().unwrap());
        let stream = accepted.recv().await.unwrap();
        tokio::spawn(stream.guard.run(async move {
            let _held = stream.stream;
            match stubborn {
                true => pending().await,
                false => sleep(Duration::from_secs(1)).await,
            }
        }));
    }
    let mut before_answer = half_a_hello(&dialer, SOMEBODY).await;
    let mut after_answer = dialer.connect(SOMEBODY).unwrap();
    after_answer.write_all(&client_hello().await).await.unwrap();
    settle().await;
    assert_eq!(handle.counts().handshaking, 2);
    let started = Instant::now();
    let drained = handle.drain(LIMIT).await;
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    assert_eq!(
        (drained.finished, drained.forced, drained.left, drained.handshakes),
        (2, 3, 0, 2)
    );
    assert!(accepted.recv().await.is_none());
    let counts = handle.counts();
    assert_eq!((counts.open, counts.stopped, counts.established), (0, 2, 5));
    assert_adds_up(&counts);

    // Handshakes end with an alert: internal_error, in the clear before the ServerHello and encrypted behind it.
    assert_eq!(rest(&mut before_answer).await, [21, 3, 3, 0, 2, 2, 80]);
    let answer = rest(&mut after_answer).await;
    let last = records(&answer).pop().unwrap();
    assert_eq!((last.content_type, last.length), (23, 2 + 1 + 16));
    for client in &mut clients {
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

async fn rest(io: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test(start_paused = true)]
async fn a_handshake_in_flight_finishes_and_its_stream_is_given_out() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut from_client, mut to_client) = tokio::io::split(near);
    let (mut from_server, mut to_server) = tokio::io::split(dialer.connect(SOMEBODY).unwrap());
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // What the client says takes a second.
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            sleep(Duration::from_secs(1)).await;
            to_server.write_all(&buffer[..count]).await.unwrap();
        }
    });
    let client = greet(far);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(handle.counts().handshaking, 1);
    let draining = tokio::spawn({
        let handle = handle.clone();
        async move { handle.drain(LIMIT).await }
    });
    let stream = accepted.recv().await.unwrap();
    client.await.unwrap().unwrap();
    assert!(stream.guard.draining().is_cancelled());
    drop(stream);
    let drained = draining.await.unwrap();
    assert_eq!((drained.finished, drained.handshakes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_gets_one_more_second() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let mut silent = dialer.connect(SOMEBODY).unwrap();
    let late = dialer.connect(SOMEBODY).unwrap();
    settle().await;
    let draining = tokio::spawn({
        let handle = handle.clone();
        async move { (handle.drain(LIMIT).await, Instant::now()) }
    });
    let started = Instant::now();
    sleep(Duration::from_millis(500)).await;
    greet(late).await.unwrap().unwrap();
    drop(accepted.recv().await.unwrap());
    let (drained, ended) = draining.await.unwrap();
    assert!(is_closed(&mut silent).await);
    assert_eq!((ended - started).as_secs(), 1);
    assert_eq!((drained.finished, drained.handshakes), (1, 1));
    assert_adds_up(&handle.counts());
}

#[tokio::test(start_paused = true)]
async fn what_was_connected_before_the_drain_is_accepted() {
    // More than a task may do in one go (Tokio's cooperative budget).
    const CLIENTS: u64 = 300;
    let (dialer, mut listener) = listener();
    let handle = listener.handle();
    // Nobody has polled the listener so far: these wait where the kernel keeps them.
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&dialer, SOMEBODY)).collect();
    let mut draining = tokio_test::task::spawn(handle.drain(LIMIT));
    assert!(draining.poll().is_pending());
    let mut streams = 0;
    while let Some(stream) = listener.accept().await {
        drop(stream);
        streams += 1;
    }
    assert_eq!(streams, CLIENTS);
    for client in clients {
        client.await.unwrap().unwrap();
    }
    assert_eq!(draining.await.finished, CLIENTS);
}

#[tokio::test(start_paused = true)]
async fn a_second_drain_without_a_limit_cuts_off_at_once() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let _client = client(&dialer, SOMEBODY).await.unwrap().unwrap();
    let stream = accepted.recv().await.unwrap();
    let serving = tokio::spawn(stream.guard.run(async move {
        let _held = stream.stream;
        pending::<()>().await;
    }));
    let started = Instant::now();
    // A drain that is dropped goes on, but has no end of its own.
    assert!(
        timeout(Duration::from_secs(1), handle.drain(LIMIT))
            .await
            .is_err()
    );
    sleep(LIMIT * 2).await;
    assert!(dialer.is_closed() && !serving.is_finished());
    let drained = handle.drain(Duration::ZERO).await;
    assert_eq!(started.elapsed().as_secs(), 1 + 2 * LIMIT.as_secs());
    assert_eq!((drained.finished, drained.forced, drained.left), (0, 1, 0));
    assert_eq!(serving.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_reported_and_waited_for_no_longer() {
    let (dialer, listener) = listener();
    let (handle, mut accepted) = run(listener);
    let _client = client(&dialer, SOMEBODY).await.unwrap().unwrap();
    let stream = accepted.recv().await.unwrap();
    let started = Instant::now();
    let drained = handle.drain(LIMIT).await;
    assert_eq!((drained.finished, drained.forced, drained.left), (0, 0, 1));
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs() + 1);
    drop(stream);
    assert_eq!(handle.counts().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_function_that_never_ends_is_dropped_at_the_deadline() {
    let (dialer, source) = dial();
    let listener = TlsListener::with_handshake(source, acceptor(), |_, io, _| async move {
        let _held = io;
        pending::<Result<(), HandshakeFailure<ServerEnd>>>().await
    });
    let (handle, mut accepted) = run(listener);
    let mut slow = half_a_hello(&dialer, SOMEBODY).await;
    settle().await;
    let drained = handle.drain(LIMIT).await;
    assert_eq!((drained.handshakes, handle.counts().handshaking), (1, 0));
    assert!(is_closed(&mut slow).await);
    assert!(accepted.recv().await.is_none());
    assert_adds_up(&handle.counts());
}
