//! Early data at most once in the whole fleet.

use core::time::Duration;

use redis::{Value, pipe};
use tls_core::{Answer, ConnectionContext, HookError, ReplayGuard};

use crate::link::{Redis, hex, in_ms};

/// For how long the mark of a memory is kept: ten years, in milliseconds. Its age is this less what is left of it, by
/// the clock of Redis.
const MARK_LIFETIME: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// No window is longer: seven days, the longest life of a ticket, in milliseconds.
const MAX_WINDOW: u64 = 7 * 24 * 60 * 60 * 1000;

/// Remembers the fingerprints of early data in Redis, so that all servers of a fleet together accept it once.
///
/// A Redis that has lost its memory (restarted without a snapshot, or flushed) would accept once more what it had seen
/// before. So the guard leaves a mark there, and accepts nothing until the mark is older than the window: for the first
/// seconds of a new or a restarted Redis early data is refused, and sent after the handshake instead.
///
/// Redis must not evict (`maxmemory-policy noeviction`), and must be one server: a replica that takes over may lack
/// what the other had just seen. Whoever controls Redis can have early data accepted more than once.
///
/// Whatever goes wrong, the answer is "seen before".
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, ConfigError, ServerConfig};
/// use tls_redis::{Redis, RedisReplayGuard, RedisTicketKeys};
///
/// fn configuration(certificate: CertifiedKey, redis: Redis) -> Result<ServerConfig, ConfigError> {
///     ServerConfig::builder()
///         .certificate(certificate)
///         .ticket_keys(Arc::new(RedisTicketKeys::new(redis.clone())))
///         .replay_guard(Arc::new(RedisReplayGuard::new(redis)))
///         .max_early_data(16 * 1024)
///         .build()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RedisReplayGuard {
    redis: Redis,
    trusts_an_empty_redis: bool,
}

impl RedisReplayGuard {
    /// Remembers fingerprints in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            trusts_an_empty_redis: false,
        }
    }

    /// Accepts early data at once even where Redis has only just begun to remember. Then early data that was accepted
    /// right before Redis lost its memory can be replayed once.
    #[must_use]
    pub fn dangerously_trust_an_empty_redis(mut self) -> Self {
        self.trusts_an_empty_redis = true;
        self
    }

    async fn first_use(&self, fingerprint: &[u8; 32], window: Duration) -> Result<bool, HookError> {
        // Redis forgets at the end of a window, which still belongs to it.
        let window = in_ms(window).saturating_add(1).min(MAX_WINDOW);
        let mark = self.redis.name("replay", "");
        let name = self.redis.name("replay:", &hex(fingerprint));
        let mut commands = pipe();
        commands
            .atomic()
            .cmd("SET")
            .arg(&mark)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(MARK_LIFETIME)
            .ignore()
            .cmd("PTTL")
            .arg(&mark)
            .cmd("SET")
            .arg(&name)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(window);
        let (left, is_new): (i64, Value) = self.redis.ask("guard against a replay", &commands).await?;
        // Without an expiry, or with too long a one, it is not our mark.
        let age = u64::try_from(left)
            .ok()
            .and_then(|left| MARK_LIFETIME.checked_sub(left));
        let remembers = self.trusts_an_empty_redis || age.is_some_and(|age| age >= window);
        if is_new == Value::Okay && !remembers {
            tracing::debug!("Redis has not been remembering for long enough, early data is refused");
        }
        Ok(is_new == Value::Okay && remembers)
    }
}

impl ReplayGuard for RedisReplayGuard {
    /// Never an error: where Redis fails, the answer is `false`. Dropped before it has answered, the fingerprint may
    /// count as seen.
    fn is_first_use<'a>(
        &'a self,
        fingerprint: &'a [u8; 32],
        window: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>> {
        // A failure was warned of.
        Answer::later(async move { Ok(self.first_use(fingerprint, window).await.unwrap_or(false)) })
    }
}
