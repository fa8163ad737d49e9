//! Ticket keys that rotate by themselves.

use core::fmt;
use core::time::Duration;
use std::sync::{PoisonError, RwLock};

use rustls_pki_types::UnixTime;

use super::{Answer, ConnectionContext, TicketKey, TicketKeys};
use crate::error::HookError;

/// How long a key seals, by default.
const DEFAULT_PERIOD: Duration = Duration::from_secs(12 * 60 * 60);

/// For how many further periods a key opens once it no longer seals.
const OVERLAP_PERIODS: u64 = 2;

/// More keys than anyone has in use: of more the oldest is forgotten.
const MAX_KEYS: usize = 64;

/// Ticket keys in memory, which rotate by themselves.
///
/// A key seals tickets for one period and opens them for two more, so that every ticket can be used for at least two
/// periods. By default a period is 12 hours. There is no background task: a new key is made by the first handshake
/// that needs one.
///
/// Kept in an `Arc` and shared between configurations, it outlives a reload of certificates, and sessions with it.
/// To share keys between processes: [`Self::add`] a new key everywhere, then [`Self::promote`] it everywhere, so that
/// no process meets a ticket that it cannot open; with a period that is longer than the time until the next.
///
/// ```
/// use std::time::Duration;
/// use tls_core::{RotatingTicketKeys, TicketKey};
///
/// let keys = RotatingTicketKeys::new().with_rotation(Duration::from_secs(3600));
/// // A key that comes from elsewhere: known everywhere before it seals anywhere.
/// let key = TicketKey::generate()?;
/// keys.add(key.clone());
/// assert!(keys.promote(&key.id));
/// # Ok::<(), tls_core::Error>(())
/// ```
pub struct RotatingTicketKeys {
    /// Oldest first.
    keys: RwLock<Vec<Kept>>,
    /// Seconds.
    period: u64,
    clock: Box<dyn Fn() -> UnixTime + Send + Sync>,
}

struct Kept {
    key: TicketKey,
    /// When it was added, or began to seal: seconds since 1970.
    since: u64,
    seals: bool,
}

impl Kept {
    /// Whether less than so many seconds lie between then and now. A clock that was set back must not make a key
    /// live for ever, so that the future counts like the past.
    fn is_within(&self, seconds: u64, now: u64) -> bool {
        now.abs_diff(self.since) < seconds
    }
}

impl RotatingTicketKeys {
    /// No key yet; the first is made when it is needed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: RwLock::default(),
            period: DEFAULT_PERIOD.as_secs(),
            clock: Box::new(UnixTime::now),
        }
    }

    /// Sets for how long a key seals, in whole seconds, at least one; it opens for two times that more.
    /// Default: 12 hours.
    #[must_use]
    pub fn with_rotation(mut self, period: Duration) -> Self {
        self.period = period.as_secs().max(1);
        self
    }

    /// Where to get the time from. Default: the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Adds a key that opens tickets from now on, for three periods, and seals none until [`Self::promote`]. A key of
    /// the same id is replaced. At most 64 keys are kept, the newest.
    pub fn add(&self, key: TicketKey) {
        let now = self.now();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|kept| kept.key.id != key.id);
        // In front of the one that seals, so that this is never the one to be forgotten.
        let index = keys.iter().position(|kept| kept.seals).unwrap_or(keys.len());
        keys.insert(
            index,
            Kept {
                key,
                since: now,
                seals: false,
            },
        );
        forget_oldest(&mut keys);
    }

    /// Makes the key of this id the one that seals, for one period from now. `false` if there is no such key.
    pub fn promote(&self, id: &[u8; 16]) -> bool {
        let now = self.now();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = keys.iter().position(|kept| kept.key.id == *id) else {
            return false;
        };
        let key = keys.remove(index).key;
        seal_with(&mut keys, key, now);
        true
    }

    /// Forgets the key of this id: its tickets no longer open. If it was the one that seals, the next ticket is
    /// sealed with a new key. `false` if there is no such key.
    pub fn retire(&self, id: &[u8; 16]) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let before = keys.len();
        keys.retain(|kept| kept.key.id != *id);
        keys.len() < before
    }

    fn now(&self) -> u64 {
        (self.clock)().as_secs()
    }

    /// For how many seconds a key opens.
    fn window(&self) -> u64 {
        self.period.saturating_mul(1 + OVERLAP_PERIODS)
    }

    fn current(&self, keys: &[Kept], now: u64) -> Option<TicketKey> {
        keys.iter()
            .rfind(|kept| kept.seals && kept.is_within(self.period, now))
            .map(|kept| kept.key.clone())
    }

    fn sealing(&self) -> Result<TicketKey, HookError> {
        let now = self.now();
        let current = self.current(&self.keys.read().unwrap_or_else(PoisonError::into_inner), now);
        if let Some(key) = current {
            return Ok(key);
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster.
        if let Some(key) = self.current(&keys, now) {
            return Ok(key);
        }
        let key = TicketKey::generate()?;
        let window = self.window();
        keys.retain(|kept| kept.is_within(window, now));
        seal_with(&mut keys, key.clone(), now);
        Ok(key)
    }

    fn opening(&self, id: &[u8; 16]) -> Option<TicketKey> {
        let now = self.now();
        let window = self.window();
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .find(|kept| kept.key.id == *id && kept.is_within(window, now))
            .map(|kept| kept.key.clone())
    }
}

fn seal_with(keys: &mut Vec<Kept>, key: TicketKey, now: u64) {
    for kept in keys.iter_mut() {
        kept.seals = false;
    }
    keys.push(Kept {
        key,
        since: now,
        seals: true,
    });
    forget_oldest(keys);
}

fn forget_oldest(keys: &mut Vec<Kept>) {
    keys.drain(..keys.len().saturating_sub(MAX_KEYS));
}

impl Default for RotatingTicketKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RotatingTicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("RotatingTicketKeys")
            .field("keys", &keys)
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

impl TicketKeys for RotatingTicketKeys {
    fn sealing_key<'a>(
        &'a self,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        Answer::Now(self.sealing().map(Some))
    }

    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        Answer::Now(Ok(self.opening(id)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use zeroize::Zeroizing;

    use super::*;

    const START: u64 = 1_000_000;

    fn keys(period: u64) -> (RotatingTicketKeys, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(START));
        let clock = Arc::clone(&time);
        let keys = RotatingTicketKeys::new()
            .with_rotation(Duration::from_secs(period))
            .with_clock(move || {
                UnixTime::since_unix_epoch(Duration::from_secs(clock.load(Ordering::Relaxed)))
            });
        (keys, time)
    }

    fn key(byte: u8) -> TicketKey {
        TicketKey {
            id: [byte; 16],
            secret: Zeroizing::new([byte; 32]),
        }
    }

    #[test]
    fn a_key_seals_for_one_period_and_opens_for_two_more() {
        let (keys, time) = keys(10);
        let first = keys.sealing().unwrap();
        time.store(START + 9, Ordering::Relaxed);
        assert_eq!(keys.sealing().unwrap().id, first.id);
        time.store(START + 10, Ordering::Relaxed);
        let second = keys.sealing().unwrap();
        assert_ne!((second.id, *second.secret), (first.id, *first.secret));
        assert_ne!(*second.secret, [0; 32]);
        time.store(START + 29, Ordering::Relaxed);
        assert_eq!(*keys.opening(&first.id).unwrap().secret, *first.secret);
        time.store(START + 30, Ordering::Relaxed);
        assert!(keys.opening(&first.id).is_none());
        assert!(keys.opening(&second.id).is_some());
        keys.sealing().unwrap();
        assert_eq!(keys.keys.read().unwrap().len(), 2, "the first is forgotten");
    }

    #[test]
    fn by_default_a_key_seals_for_twelve_hours() {
        let time = Arc::new(AtomicU64::new(START));
        let clock = Arc::clone(&time);
        let keys = RotatingTicketKeys::new().with_clock(move || {
            UnixTime::since_unix_epoch(Duration::from_secs(clock.load(Ordering::Relaxed)))
        });
        let first = keys.sealing().unwrap().id;
        time.store(START + 43_199, Ordering::Relaxed);
        assert_eq!(keys.sealing().unwrap().id, first);
        time.store(START + 43_200, Ordering::Relaxed);
        assert_ne!(keys.sealing().unwrap().id, first);
    }

    #[test]
    fn a_clock_set_back_does_not_make_a_key_live_for_ever() {
        let (keys, time) = keys(10);
        let first = keys.sealing().unwrap().id;
        time.store(START - 5, Ordering::Relaxed);
        assert_eq!(keys.sealing().unwrap().id, first);
        time.store(START - 10, Ordering::Relaxed);
        assert_ne!(keys.sealing().unwrap().id, first);
        assert!(keys.opening(&first).is_some());
        time.store(0, Ordering::Relaxed);
        assert!(keys.opening(&first).is_none());
    }

    #[test]
    fn an_added_key_opens_at_once_and_seals_when_it_is_promoted() {
        let (keys, time) = keys(10);
        let own = keys.sealing().unwrap().id;
        keys.add(key(1));
        assert_eq!(*keys.opening(&[1; 16]).unwrap().secret, [1; 32]);
        assert_eq!(keys.sealing().unwrap().id, own);
        time.store(START + 5, Ordering::Relaxed);
        assert!(keys.promote(&[1; 16]));
        time.store(START + 14, Ordering::Relaxed);
        assert_eq!(keys.sealing().unwrap().id, [1; 16]);
        assert!(keys.opening(&own).is_some());
        assert!(!keys.promote(&[2; 16]));
    }

    #[test]
    fn a_retired_key_neither_seals_nor_opens() {
        let (keys, _) = keys(10);
        let own = keys.sealing().unwrap().id;
        assert!(keys.retire(&own));
        assert!(!keys.retire(&own));
        assert!(keys.opening(&own).is_none());
        assert_ne!(keys.sealing().unwrap().id, own);
    }

    #[test]
    fn a_retired_key_is_not_followed_by_the_one_before_it() {
        let (keys, _) = keys(10);
        let own = keys.sealing().unwrap().id;
        keys.add(key(1));
        keys.promote(&[1; 16]);
        keys.retire(&[1; 16]);
        assert_ne!(keys.sealing().unwrap().id, own);
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_the_sealing_one_stays() {
        let (keys, _) = keys(10);
        let own = keys.sealing().unwrap().id;
        for byte in 0..=255 {
            keys.add(key(byte));
        }
        assert_eq!(keys.keys.read().unwrap().len(), MAX_KEYS);
        assert_eq!(keys.sealing().unwrap().id, own);
        assert!(keys.opening(&[0; 16]).is_none() && keys.opening(&[255; 16]).is_some());
    }

    #[test]
    fn without_rotation_a_key_lives_for_ever() {
        let (keys, time) = keys(u64::MAX);
        let own = keys.sealing().unwrap().id;
        time.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(keys.sealing().unwrap().id, own);
        assert!(keys.opening(&own).is_some());
    }

    #[test]
    fn of_many_threads_all_seal_with_one_key() {
        let (keys, _) = keys(10);
        let ids: Vec<[u8; 16]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| keys.sealing().unwrap().id))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}
