//! A client's sessions.

use core::time::Duration;

use redis::{Pipeline, pipe};
use tls_core::{
    Answer, ClientSession, ClientSessionCache, ConnectionContext, HookError, SessionKey, StorePurpose,
};
use tokio::time::timeout;

use crate::link::{Redis, in_ms, now_ms};

/// TLS 1.3 tickets kept per server.
const TICKETS_PER_SERVER: isize = 8;

/// Unless set otherwise: see [`RedisSessionCache::with_time_to_live`].
const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(24 * 60 * 60);

const PURPOSE: StorePurpose = StorePurpose::ClientSession;

/// A client's sessions in Redis, shared by all clients with the same security domain.
///
/// Of TLS 1.3 up to eight sessions are kept per server, newest first, each given away once. Of TLS 1.2 there is one per
/// server, used again and again until the next. Redis learns the names of the servers, and not more.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{ClientConfig, ConfigError, RootStore};
/// use tls_redis::{Redis, RedisSessionCache};
///
/// fn configuration(roots: RootStore, redis: Redis) -> Result<ClientConfig, ConfigError> {
///     let cache = Arc::new(RedisSessionCache::new(redis));
///     ClientConfig::builder().roots(roots).session_cache(cache).build()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RedisSessionCache {
    redis: Redis,
    time_to_live: Duration,
}

/// Where the sessions for one server are.
struct Names {
    /// A list of TLS 1.3 sessions.
    single_use: String,
    /// One TLS 1.2 session.
    reusable: String,
}

impl RedisSessionCache {
    /// Keeps sessions in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            time_to_live: DEFAULT_TIME_TO_LIVE,
        }
    }

    /// Forgets every session after so long, even where the server allows more. Default: 24 hours.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    fn names(&self, key: &SessionKey) -> Names {
        let rest = [&crate::link::hex(&key.security_domain), ":", &key.server.to_str()].concat();
        Names {
            single_use: self.redis.name("client13:", &rest),
            reusable: self.redis.name("client12:", &rest),
        }
    }

    async fn take_newest(&self, key: &SessionKey) -> Result<Option<ClientSession>, HookError> {
        let names = self.names(key);
        let mut query = Pipeline::new();
        query.lpop(&names.single_use, None).get(&names.reusable);
        // A ticket that is of no use (expired, or not ours) makes way for the one below it.
        for _ in 0..TICKETS_PER_SERVER {
            let (ticket, reusable): (Option<Vec<u8>>, Option<Vec<u8>>) =
                self.redis.ask("take a client session", &query).await?;
            let Some(ticket) = ticket else {
                return Ok(reusable.and_then(|sealed| self.session(&names.reusable, &sealed, false)));
            };
            let session = self.session(&names.single_use, &ticket, true);
            if session.is_some() {
                return Ok(session);
            }
        }
        Ok(None)
    }

    fn session(&self, name: &str, sealed: &[u8], is_single_use: bool) -> Option<ClientSession> {
        let bytes = self.redis.open(PURPOSE, name.as_bytes(), sealed)?;
        let Ok(session) = ClientSession::from_bytes(&bytes) else {
            self.redis.warn_of_entry(PURPOSE, "it is no session");
            return None;
        };
        let is_good = session.is_single_use() == is_single_use && self.remaining(&session) > 0;
        is_good.then_some(session)
    }

    /// Milliseconds for which it may still be used.
    fn remaining(&self, session: &ClientSession) -> u64 {
        let now = now_ms();
        if session.is_expired(now) {
            return 0;
        }
        let lifetime = (u64::from(session.lifetime()) * 1000).min(in_ms(self.time_to_live));
        lifetime.saturating_sub(now.saturating_sub(session.received_at()))
    }

    async fn keep(&self, key: &SessionKey, session: ClientSession) -> Result<(), HookError> {
        let remaining = self.remaining(&session);
        if remaining == 0 {
            return Ok(());
        }
        let names = self.names(key);
        let name = match session.is_single_use() {
            true => &names.single_use,
            false => &names.reusable,
        };
        let sealed = self.redis.seal(PURPOSE, name.as_bytes(), &session.to_bytes())?;
        let mut commands = pipe();
        if session.is_single_use() {
            commands
                .atomic()
                .lpush(name, sealed)
                .ignore()
                .ltrim(name, 0, TICKETS_PER_SERVER - 1)
                .ignore()
                .cmd("PEXPIRE")
                .arg(name)
                .arg(remaining)
                .ignore();
        } else {
            commands.pset_ex(name, sealed, remaining).ignore();
        }
        self.redis.ask("keep a client session", &commands).await
    }

    async fn forget(&self, key: &SessionKey) -> Result<(), HookError> {
        let names = self.names(key);
        let mut commands = pipe();
        commands.del(&[&names.single_use, &names.reusable][..]).ignore();
        self.redis.ask("remove client sessions", &commands).await
    }
}

impl ClientSessionCache for RedisSessionCache {
    /// Dropped before it has answered, a TLS 1.3 session may be lost. All attempts together have one budget.
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        Answer::later(async move {
            timeout(self.redis.budget(), self.take_newest(key))
                .await
                .unwrap_or_else(|_| Err("Redis did not answer within the budget".into()))
        })
    }

    /// Dropped before it has answered, the session may be kept or not.
    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        Answer::later(self.keep(key, session))
    }

    /// Dropped before it has answered, the sessions may be there or not.
    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        Answer::later(self.forget(key))
    }
}
