//! A replay guard in memory.

use core::cmp::Reverse;
use core::fmt;
use core::time::Duration;
use std::collections::{BinaryHeap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{Answer, ConnectionContext, ReplayGuard};
use crate::error::HookError;

/// Fingerprints remembered by default: 2,000 per second with the window of half a minute that handshakes use, in 7 MB at
/// most.
const DEFAULT_CAPACITY: usize = 65_536;

/// Remembers the fingerprints of early data in this process (section 8.2).
///
/// It never forgets before the window has passed: when it is full, early data is refused until there is room again,
/// and the client sends it once more after the handshake. For the same reason it accepts nothing until it is itself as
/// old as the window, unless [`Self::with_new_keys`] says that there are no older tickets: who knows what its
/// predecessor has accepted. Where several processes share ticket keys this one is not enough: each of them would accept
/// the early data once.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, MemoryReplayGuard, RotatingTicketKeys, ServerConfig};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// // Outside of the configuration, so that both outlive a new one.
/// let keys = Arc::new(RotatingTicketKeys::new());
/// let guard = Arc::new(MemoryReplayGuard::new(100_000).with_new_keys());
/// let config = ServerConfig::builder()
///     .certificate(CertifiedKey::from_pem(&chain_pem, &key_pem)?)
///     .ticket_keys(keys)
///     .replay_guard(guard)
///     .max_early_data(16 * 1024)
///     .build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
pub struct MemoryReplayGuard {
    seen: Mutex<Seen>,
    capacity: usize,
    /// Its own first moment, if there may be tickets that are older.
    start: Option<Duration>,
    /// Time since any fixed moment. It must not go back.
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

#[derive(Default)]
struct Seen {
    fingerprints: HashSet<[u8; 32]>,
    /// The same with the end of their windows, the earliest on top.
    ends: BinaryHeap<Reverse<(Duration, [u8; 32])>>,
}

impl MemoryReplayGuard {
    /// Remembers at most so many fingerprints at a time. Memory is taken as it is needed, about 100 bytes for each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let start = Instant::now();
        Self {
            seen: Mutex::default(),
            capacity,
            start: Some(Duration::ZERO),
            clock: Box::new(move || start.elapsed()),
        }
    }

    /// Where to get the time from: the time since any fixed moment, never going back. Default: the system's
    /// monotonic clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.start = self.start.map(|_| clock());
        self.clock = Box::new(clock);
        self
    }

    /// Accepts early data from the first moment on: for a server whose ticket keys, or session store, are no older than
    /// this guard and known to nobody else, so that no early data can have been accepted before.
    #[must_use]
    pub fn with_new_keys(mut self) -> Self {
        self.start = None;
        self
    }

    fn first_use(&self, fingerprint: &[u8; 32], window: Duration) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        // Each entry is removed once, so that all in all this costs what inserting does.
        while let Some(Reverse((end, _))) = seen.ends.peek()
            && *end < now
        {
            if let Some(Reverse((_, old))) = seen.ends.pop() {
                seen.fingerprints.remove(&old);
            }
        }
        if seen.fingerprints.contains(fingerprint) {
            return false;
        }
        if self
            .start
            .is_some_and(|start| now.saturating_sub(start) <= window)
        {
            tracing::debug!("the replay guard is too young to know what was accepted before it");
            return false;
        }
        if seen.fingerprints.len() >= self.capacity {
            tracing::debug!(
                capacity = self.capacity,
                "the replay guard is full, early data is refused"
            );
            return false;
        }
        seen.fingerprints.insert(*fingerprint);
        seen.ends
            .push(Reverse((now.saturating_add(window), *fingerprint)));
        true
    }
}

impl Default for MemoryReplayGuard {
    /// Remembers 65,536 fingerprints.
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemoryReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayGuard")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl ReplayGuard for MemoryReplayGuard {
    fn is_first_use<'a>(
        &'a self,
        fingerprint: &'a [u8; 32],
        window: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>> {
        Answer::Now(Ok(self.first_use(fingerprint, window)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn guard(capacity: usize) -> (MemoryReplayGuard, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&time);
        let guard = MemoryReplayGuard::new(capacity)
            .with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)))
            .with_new_keys();
        (guard, time)
    }

    #[test]
    fn a_fingerprint_is_new_once_within_its_window() {
        let (guard, time) = guard(10);
        assert!(guard.first_use(&[1; 32], WINDOW));
        assert!(!guard.first_use(&[1; 32], WINDOW));
        assert!(guard.first_use(&[2; 32], WINDOW));
        time.store(10, Ordering::Relaxed);
        assert!(!guard.first_use(&[1; 32], WINDOW), "the window includes its end");
        time.store(11, Ordering::Relaxed);
        assert!(guard.first_use(&[1; 32], WINDOW));
        assert_eq!(
            guard.seen.lock().unwrap().fingerprints.len(),
            1,
            "the other is gone"
        );
    }

    #[test]
    fn a_guard_that_may_have_had_a_predecessor_accepts_nothing_at_first() {
        let time = Arc::new(AtomicU64::new(1000));
        let clock = Arc::clone(&time);
        let guard =
            MemoryReplayGuard::new(10).with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        assert!(!guard.first_use(&[1; 32], WINDOW));
        time.store(1010, Ordering::Relaxed);
        assert!(!guard.first_use(&[1; 32], WINDOW), "the window includes its end");
        time.store(1011, Ordering::Relaxed);
        assert!(guard.first_use(&[1; 32], WINDOW));
        assert!(!guard.first_use(&[1; 32], WINDOW));
    }

    #[test]
    fn a_full_guard_refuses_and_does_not_forget() {
        let (guard, time) = guard(2);
        assert!(guard.first_use(&[1; 32], WINDOW));
        time.store(5, Ordering::Relaxed);
        assert!(guard.first_use(&[2; 32], WINDOW));
        assert!(!guard.first_use(&[3; 32], WINDOW));
        assert!(!guard.first_use(&[1; 32], WINDOW) && !guard.first_use(&[2; 32], WINDOW));
        time.store(11, Ordering::Relaxed);
        assert!(guard.first_use(&[3; 32], WINDOW), "the first has made room");
        assert!(!guard.first_use(&[2; 32], WINDOW));
        assert!(
            !MemoryReplayGuard::new(0)
                .with_new_keys()
                .first_use(&[1; 32], WINDOW)
        );
    }

    #[test]
    fn windows_of_different_lengths_end_in_their_own_order() {
        let (guard, time) = guard(10);
        assert!(guard.first_use(&[1; 32], Duration::MAX));
        assert!(guard.first_use(&[2; 32], Duration::from_secs(1)));
        time.store(1_000_000, Ordering::Relaxed);
        assert!(guard.first_use(&[2; 32], WINDOW));
        assert!(!guard.first_use(&[1; 32], WINDOW));
    }

    #[test]
    fn of_many_threads_one_is_first() {
        let guard = MemoryReplayGuard::default().with_new_keys();
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..64)
                .map(|_| {
                    let guard = &guard;
                    scope.spawn(move || (0..=255).filter(|b| guard.first_use(&[*b; 32], WINDOW)).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 256);
    }
}
