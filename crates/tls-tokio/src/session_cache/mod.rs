//! Sessions in memory, for clients.

#[cfg(test)]
mod properties;
mod shards;
mod store;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use tls_core::{Answer, ClientSession, ClientSessionCache, ConnectionContext, HookError, SessionKey};

use self::shards::Shards;
pub use self::store::MemorySessionStore;

/// Sessions kept per server: enough for the connections that a browser opens at once.
const SESSIONS_PER_SERVER: usize = 8;

/// Servers remembered by default.
const DEFAULT_CAPACITY: usize = 1024;

/// How long anything is remembered by default.
const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// Milliseconds since 1970.
type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

fn system_clock() -> Clock {
    Box::new(|| {
        let now = UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Whether something kept since `then` has been kept long enough. A clock that was set back counts as one that went
/// on, so that nothing is kept for ever.
fn is_over(then: u64, now: u64, time_to_live: Duration) -> bool {
    u128::from(now.abs_diff(then)) >= time_to_live.as_millis()
}

/// A client's sessions in memory: those of the servers used last.
///
/// Of each server up to eight sessions are kept, the newest first. A session of TLS 1.3 is handed out once, one of
/// TLS 1.2 again and again until it expires; of those only the newest is kept. Whether a session has expired is looked
/// at when it is asked for: there is no background task. It may be shared by any number of configurations, since those
/// that must not share sessions have different [`SessionKey`]s.
///
/// ```
/// use std::time::Duration;
///
/// use tls_tokio::MemorySessionCache;
///
/// let cache = MemorySessionCache::new(200).with_time_to_live(Duration::from_secs(3600));
/// assert!(cache.is_empty());
/// ```
pub struct MemorySessionCache {
    shards: Shards<SessionKey, VecDeque<Kept>>,
    time_to_live: Duration,
    clock: Clock,
}

struct Kept {
    session: ClientSession,
    /// When it was put here.
    since: u64,
}

impl MemorySessionCache {
    /// Remembers so many servers, rounded up to a multiple of 16; the one used least recently gives way to a new one
    /// (within a sixteenth of all). Memory is taken as it is needed.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        Self {
            shards: Shards::new(servers),
            time_to_live: DEFAULT_TIME_TO_LIVE,
            clock: system_clock(),
        }
    }

    /// Forgets every session after so long, even where the server allows more. Default: 24 hours.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Where to get the time from, in milliseconds since 1970. Default: the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Servers of which something is kept, expired sessions included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all sessions of all servers.
    pub fn clear(&self) {
        self.shards.clear();
    }

    fn take_newest(&self, key: &SessionKey) -> Option<ClientSession> {
        let now = (self.clock)();
        let mut shard = self.shards.of(key);
        let kept = shard.get_mut(key)?;
        kept.retain(|kept| !is_over(kept.since, now, self.time_to_live) && !kept.session.is_expired(now));
        let session = match kept.front() {
            Some(newest) if !newest.session.is_single_use() => Some(newest.session.clone()),
            _ => kept.pop_front().map(|newest| newest.session),
        };
        if kept.is_empty() {
            shard.pop(key);
        }
        session
    }

    fn keep(&self, key: &SessionKey, session: ClientSession) {
        let now = (self.clock)();
        if session.is_expired(now) || self.time_to_live.is_zero() {
            return;
        }
        let is_single_use = session.is_single_use();
        let newest = Kept { session, since: now };
        let mut shard = self.shards.of(key);
        let Some(kept) = shard.get_mut(key) else {
            self.shards
                .insert(&mut shard, key.clone(), VecDeque::from([newest]));
            return;
        };
        if !is_single_use {
            kept.retain(|kept| kept.session.is_single_use());
        }
        kept.truncate(SESSIONS_PER_SERVER - 1);
        kept.push_front(newest);
    }
}

impl Default for MemorySessionCache {
    /// Remembers 1,024 servers.
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemorySessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionCache")
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

impl ClientSessionCache for MemorySessionCache {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        Answer::Now(Ok(self.take_newest(key)))
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.keep(key, session);
        Answer::Now(Ok(()))
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.shards.of(key).pop(key);
        Answer::Now(Ok(()))
    }
}
