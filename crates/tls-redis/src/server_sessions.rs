//! A server's sessions by id.

use core::time::Duration;

use redis::pipe;
use tls_core::{
    Answer, ConnectionContext, HookError, ServerSessionStore, StorePurpose, StoredSession, Zeroizing,
};

use crate::link::{Redis, hex, in_ms};

/// No session lives longer: seven days (section 4.6.1), in milliseconds.
const MAX_LIFETIME: u64 = 7 * 24 * 60 * 60 * 1000;

const PURPOSE: StorePurpose = StorePurpose::ServerSession;

/// A server's sessions in Redis: made by one server of a fleet, resumed by any.
///
/// A session that was taken out is gone for all of them; but a Redis that is not honest could give it again.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, ConfigError, ServerConfig};
/// use tls_redis::{Redis, RedisSessionStore};
///
/// fn configuration(certificate: CertifiedKey, redis: Redis) -> Result<ServerConfig, ConfigError> {
///     let store = Arc::new(RedisSessionStore::new(redis));
///     ServerConfig::builder().certificate(certificate).session_store(store).build()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RedisSessionStore {
    redis: Redis,
}

impl RedisSessionStore {
    /// Keeps sessions in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn name(&self, id: &[u8]) -> String {
        self.redis.name("server:", &hex(id))
    }

    async fn keep(
        &self,
        id: &[u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
    ) -> Result<(), HookError> {
        let name = self.name(id);
        let lifetime = in_ms(lifetime).min(MAX_LIFETIME);
        let mut commands = pipe();
        if lifetime == 0 {
            commands.del(&name).ignore();
        } else {
            let sealed = self.redis.seal(PURPOSE, name.as_bytes(), &session)?;
            commands.pset_ex(&name, sealed, lifetime).ignore();
        }
        self.redis.ask("keep a server session", &commands).await
    }

    async fn look_up(
        &self,
        command: &'static str,
        id: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HookError> {
        let name = self.name(id);
        let mut commands = pipe();
        commands.cmd(command).arg(&name);
        let (sealed,): (Option<Vec<u8>>,) = self.redis.ask("look up a server session", &commands).await?;
        Ok(sealed.and_then(|sealed| self.redis.open(PURPOSE, name.as_bytes(), &sealed)))
    }
}

impl ServerSessionStore for RedisSessionStore {
    /// At most seven days. Dropped before it has answered, the session may be kept or not.
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        Answer::later(self.keep(id, session, lifetime))
    }

    /// Dropped before it has answered, nothing has changed.
    fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::later(self.look_up("GET", id))
    }

    /// Dropped before it has answered, the session may be lost.
    fn take<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::later(self.look_up("GETDEL", id))
    }
}
