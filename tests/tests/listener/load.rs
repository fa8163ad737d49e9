//! A drain under load, with a responder as simple as can be.

use std::time::Duration;

use tls_core::ProtocolVersion;
use tls_tests::sides::{connector, server_name};
use tls_tokio::Accepted;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::{HANDSHAKE, assert_adds_up, listener};

const CLIENTS: u64 = 200;

/// Of a response, behind its head.
const BODY: usize = 20_000;

/// Answers requests, one line each, until the client closes or the listener drains. What was asked is answered.
async fn respond(accepted: crate::Stream) -> u64 {
    let Accepted {
        mut stream, guard, ..
    } = accepted;
    let draining = guard.draining();
    let respond = async move {
        let mut answered = 0;
        loop {
            let mut request = String::new();
            let read = tokio::select! {
                biased;
                read = stream.read_line(&mut request) => read,
                // A client with a connection that has not been used yet asks as soon as it can.
                () = draining.cancelled(), if answered > 0 => break,
            };
            if !matches!(read, Ok(1..)) {
                break;
            }
            let work: u64 = request.trim().parse().unwrap();
            sleep(Duration::from_millis(work)).await;
            let close = u8::from(draining.is_cancelled());
            stream.write_all(&[b'0' + close]).await.unwrap();
            stream.write_all(&[b'x'; BODY]).await.unwrap();
            stream.flush().await.unwrap();
            answered += 1;
            if close == 1 {
                break;
            }
        }
        let _ = stream.graceful_shutdown(Duration::from_secs(1)).await;
        answered
    };
    guard.run(respond).await.unwrap_or(0)
}

/// What a client has seen.
#[derive(Default)]
struct Seen {
    responses: u64,
    /// Requests without a whole response.
    lost: u64,
    /// Connections that were not established.
    refused: u64,
}

/// Asks again and again, on this connection, until it is told to close or finds it closed in order.
async fn ask(io: DuplexStream, number: u64) -> Seen {
    let mut seen = Seen::default();
    let connector = connector(ProtocolVersion::TLS13);
    let Ok(mut stream) = connector.connect(server_name(), io).await else {
        seen.refused = 1;
        return seen;
    };
    for request in 0.. {
        let work = (number * 37 + request * 101) % 400;
        if stream.write_all(format!("{work}\n").as_bytes()).await.is_err() {
            seen.lost += 1;
            break;
        }
        let mut response = vec![0; 1 + BODY];
        match stream.read_exact(&mut response).await {
            Ok(_) => seen.responses += 1,
            Err(_) => {
                seen.lost += 1;
                break;
            }
        }
        if response[0] == b'1' {
            break;
        }
    }
    let _ = stream.graceful_shutdown(Duration::from_secs(1)).await;
    seen
}

/// With threads and small limits, so that connections are shed, refused, handshaken and dropped all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_at_once_the_counts_add_up_and_the_drain_ends() {
    for round in 0..5 {
        let (dialer, listener) = listener();
        let mut listener = listener
            .max_waiting(10)
            .max_handshakes(5)
            .max_per_address(Some(3))
            .first_byte_timeout(Some(Duration::from_millis(30)));
        let handle = listener.handle();
        let serving = tokio::spawn(async move {
            while let Some(Accepted { stream, guard, .. }) = listener.accept().await {
                tokio::spawn(guard.run(async move {
                    sleep(Duration::from_millis(5)).await;
                    drop(stream);
                }));
            }
        });
        let mut clients = Vec::new();
        for number in 0..CLIENTS * 2 {
            let Some(io) = dialer.connect(&format!("192.0.2.{}:1", number % 7)) else {
                break;
            };
            clients.push(tokio::spawn(async move {
                match number % 3 {
                    0 => drop(connector(ProtocolVersion::TLS13).connect(server_name(), io).await),
                    1 => drop(io),
                    _ => {
                        sleep(Duration::from_millis(50)).await;
                        drop(io);
                    }
                }
            }));
            if number % 10 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        let limit = Duration::from_millis([0, 1, 20, 500, 5000][round]);
        let drained = timeout(Duration::from_secs(30), handle.drain(limit))
            .await
            .unwrap();
        timeout(Duration::from_secs(30), serving).await.unwrap().unwrap();
        for client in clients {
            client.await.unwrap();
        }
        let counts = handle.counts();
        assert_adds_up(&counts);
        assert_eq!(
            (counts.waiting, counts.handshaking, counts.open, drained.left),
            (0, 0, 0, 0),
            "{counts:?}"
        );
        assert!(counts.shed > 0 && counts.established > 0, "{counts:?}");
        println!("{counts}; {drained:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_response_is_lost_in_a_drain_under_load() {
    let (dialer, mut listener) = listener();
    let handle = listener.handle();
    let serving = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Some(accepted) = listener.accept().await {
            streams.push(tokio::spawn(respond(accepted)));
        }
        let mut answered = 0;
        for stream in streams {
            answered += stream.await.unwrap();
        }
        answered
    });
    // They come over one second, so that some are in their handshake or about to begin it when the drain begins.
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let dialer = dialer.clone();
        clients.push(tokio::spawn(async move {
            sleep(Duration::from_millis(number * 5)).await;
            match dialer.connect(&format!("192.0.2.1:{}", number + 1)) {
                Some(io) => Some(ask(io, number).await),
                None => None,
            }
        }));
    }
    sleep(Duration::from_millis(CLIENTS * 5 - 102)).await;
    let before = handle.counts();
    let started = Instant::now();
    let drained = handle.drain(HANDSHAKE).await;
    let took = started.elapsed();
    let (mut seen, mut too_late) = (Seen::default(), 0);
    for client in clients {
        match client.await.unwrap() {
            Some(one) => {
                seen.responses += one.responses;
                seen.lost += one.lost;
                seen.refused += one.refused;
            }
            None => too_late += 1,
        }
    }
    let counts = handle.counts();
    println!(
        "{} open at first, {} responses, {too_late} came too late, {took:?}: {drained:?}",
        before.open, seen.responses
    );
    // The connections were idle or busy; those that were idle were closed in order, and their next request had no
    // chance: only that may have been for nothing.
    assert_eq!(seen.refused, 0);
    assert!(before.open > 150, "{before:?}");
    assert!(too_late > 0);
    assert_eq!(counts.accepted + too_late, CLIENTS);
    assert_eq!(counts.established, counts.accepted);
    assert_eq!(
        (drained.forced, drained.left, drained.handshakes, counts.open),
        (0, 0, 0, 0)
    );
    assert_eq!(drained.finished, counts.established);
    assert_adds_up(&counts);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(serving.await.unwrap(), seen.responses);
    assert_eq!(seen.lost, 0);
}
