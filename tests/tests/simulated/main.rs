//! Connections over a simulated transport, by the thousand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod detectors;
mod tally;

use std::alloc::System;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tls_tests::sim::{Plan, World, judge};

use self::tally::Tally;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Connections where nobody asks for more: some seconds without optimisation.
const CONNECTIONS: u64 = 5000;

/// Bytes of heap by which all connections together may make the process larger: what the buffers' pool keeps, and what
/// the test harness does meanwhile. A leak of 100 bytes per connection would be several times as much.
const HEAP: usize = 192 * 1024;

/// Failures that are reported before it is enough.
const ENOUGH: usize = 5;

/// The tests here count the heap of the whole process: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn heap() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
}

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// `TLS_SIM_CONNECTIONS=100000` for more of them, `TLS_SIM_SEED=n` for one, `TLS_SIM_FIRST=n` for those from there on.
#[test]
fn every_byte_is_right_every_end_has_the_right_name_and_nothing_hangs_or_leaks() {
    let _alone = alone();
    let world = World::new();
    let (first, count) = match variable("TLS_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (
            variable("TLS_SIM_FIRST").unwrap_or(0),
            variable("TLS_SIM_CONNECTIONS").unwrap_or(CONNECTIONS),
        ),
    };
    let mut failures = Vec::new();
    let mut tally = Tally::default();
    let mut before = heap();
    let started = std::time::Instant::now();
    for seed in first..first + count {
        let plan = Plan::new(seed);
        let run = world.run(&plan);
        tally.count(&plan, &run);
        if let Err(failure) = judge(&plan, &run) {
            failures.push((seed, failure));
            if failures.len() >= ENOUGH {
                break;
            }
        }
        if seed == first + count / 10 {
            // By now everything that is made once has been made.
            before = heap();
        }
    }
    let mut all = String::new();
    for (seed, failure) in &failures {
        let _ = writeln!(
            all,
            "{failure}\nAgain: TLS_SIM_SEED={seed} cargo test -p tls-tests --test simulated every\n"
        );
    }
    assert!(failures.is_empty(), "\n{all}");
    let grown = heap().saturating_sub(before);
    println!(
        "{count} connections in {:?}, the heap grew by {grown} bytes\n{tally}",
        started.elapsed()
    );
    if count >= CONNECTIONS {
        assert_eq!(tally.missing(count), [""; 0]);
    }
    assert!(
        grown < HEAP,
        "the heap grew by {grown} bytes in {count} connections"
    );
}
