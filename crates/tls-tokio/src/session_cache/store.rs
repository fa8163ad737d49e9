//! Sessions in memory, for servers.

use std::fmt;
use std::time::Duration;

use tls_core::{Answer, ConnectionContext, HookError, ServerSessionStore, StoredSession, Zeroizing};

use super::shards::Shards;
use super::{Clock, DEFAULT_TIME_TO_LIVE, is_over, system_clock};

/// Sessions remembered by default.
const DEFAULT_CAPACITY: usize = 20_000;

/// A server's sessions in memory, by id: those used last. They are gone when the process ends, and other processes do
/// not know them.
///
/// ```
/// use std::sync::Arc;
/// use tls_tokio::{CertifiedKey, ConfigError, MemorySessionStore, ServerConfig};
///
/// fn configuration(certificate: CertifiedKey) -> Result<ServerConfig, ConfigError> {
///     let sessions = Arc::new(MemorySessionStore::new(20_000));
///     ServerConfig::builder().certificate(certificate).session_store(sessions).build()
/// }
/// ```
pub struct MemorySessionStore {
    pub(super) shards: Shards<Box<[u8]>, Stored>,
    time_to_live: Duration,
    clock: Clock,
}

pub(super) struct Stored {
    session: Zeroizing<Vec<u8>>,
    since: u64,
    lifetime: Duration,
}

impl MemorySessionStore {
    /// Remembers so many sessions, rounded up to a multiple of 16; the one used least recently gives way to a new one
    /// (within a sixteenth of all). Memory is taken as it is needed.
    #[must_use]
    pub fn new(sessions: usize) -> Self {
        Self {
            shards: Shards::new(sessions),
            time_to_live: DEFAULT_TIME_TO_LIVE,
            clock: system_clock(),
        }
    }

    /// Forgets every session after so long, even where its own lifetime is longer. Default: 24 hours.
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

    /// Sessions that are kept, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all sessions.
    pub fn clear(&self) {
        self.shards.clear();
    }

    fn look_up(&self, id: &[u8], and_take: bool) -> Option<Zeroizing<Vec<u8>>> {
        let now = (self.clock)();
        let mut shard = self.shards.of(id);
        let stored = shard.get(id)?;
        let is_over = is_over(stored.since, now, stored.lifetime);
        if and_take || is_over {
            return shard.pop(id).filter(|_| !is_over).map(|stored| stored.session);
        }
        Some(stored.session.clone())
    }
}

impl Default for MemorySessionStore {
    /// Remembers 20,000 sessions.
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionStore")
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

impl ServerSessionStore for MemorySessionStore {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        let stored = Stored {
            session,
            since: (self.clock)(),
            lifetime: lifetime.min(self.time_to_live),
        };
        self.shards.insert(&mut self.shards.of(id), id.into(), stored);
        Answer::Now(Ok(()))
    }

    fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::Now(Ok(self.look_up(id, false)))
    }

    fn take<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::Now(Ok(self.look_up(id, true)))
    }
}
