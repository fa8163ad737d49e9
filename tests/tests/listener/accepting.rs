//! When accepting itself fails.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{SOMEBODY, client, half_a_hello, is_closed, listener, run, settle};

/// EMFILE
fn no_descriptors() -> io::Error {
    io::Error::from_raw_os_error(24)
}

#[tokio::test(start_paused = true)]
async fn want_of_file_descriptors_is_waited_out_with_growing_pauses() {
    const FAILURES: u64 = 10;
    let (dialer, listener) = listener();
    for _ in 0..FAILURES {
        dialer.fail(no_descriptors());
    }
    let honest = client(&dialer, SOMEBODY);
    let started = Instant::now();
    let (handle, mut accepted) = run(listener);
    accepted.recv().await.unwrap();
    honest.await.unwrap().unwrap();
    // 5 + 10 + ... + 640 + 1000 + 1000 ms.
    let waited = started.elapsed();
    assert!((3275..3300).contains(&waited.as_millis()), "{waited:?}");
    let counts = handle.counts();
    assert_eq!((counts.accept_errors, counts.accepted), (FAILURES, 1));
    // Each failure was asked for once, the connection once, and some polls found nothing.
    assert!(dialer.polls() < 20, "{} polls", dialer.polls());
    // After a success the pauses are short again.
    dialer.fail(no_descriptors());
    let started = Instant::now();
    client(&dialer, SOMEBODY).await.unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_neither_ends_the_loop_nor_makes_it_spin() {
    const MINUTES: u64 = 10;
    let (dialer, listener) = listener();
    for _ in 0..10_000 {
        dialer.fail(no_descriptors());
    }
    let (handle, _accepted) = run(listener);
    sleep(Duration::from_secs(60 * MINUTES)).await;
    let errors = handle.counts().accept_errors;
    assert!((600..620).contains(&errors), "{errors} in {MINUTES} minutes");
    assert_eq!(dialer.polls() as u64, errors);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_aborted_costs_no_pause() {
    let (dialer, listener) = listener();
    let (_, mut accepted) = run(listener);
    let started = Instant::now();
    for _ in 0..5 {
        dialer.fail(io::ErrorKind::ConnectionAborted.into());
        client(&dialer, SOMEBODY).await.unwrap().unwrap();
        accepted.recv().await.unwrap();
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn handshakes_go_on_while_accepting_fails() {
    let (dialer, listener) = listener();
    let (_, mut accepted) = run(listener);
    let honest = client(&dialer, SOMEBODY);
    for _ in 0..100 {
        dialer.fail(no_descriptors());
    }
    let mut slow = half_a_hello(&dialer, SOMEBODY).await;
    let started = Instant::now();
    honest.await.unwrap().unwrap();
    accepted.recv().await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    // The slow one was not even accepted.
    sleep(Duration::from_secs(30)).await;
    assert!(!is_closed(&mut slow).await);
}

#[tokio::test(start_paused = true)]
async fn all_that_come_at_once_are_accepted() {
    // More than the listener takes in one go.
    const CLIENTS: u64 = 500;
    let (dialer, listener) = listener();
    let _clients: Vec<_> = (0..CLIENTS).map(|_| dialer.connect(SOMEBODY).unwrap()).collect();
    let (handle, _accepted) = run(listener);
    settle().await;
    assert_eq!(handle.counts().waiting, CLIENTS);
}
