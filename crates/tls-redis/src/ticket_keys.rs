//! Ticket keys that a fleet shares.

use core::fmt;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use redis::{Pipeline, pipe};
use tls_core::{Answer, ConnectionContext, HookError, StorePurpose, TicketKey, TicketKeys, Zeroizing};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::link::{Redis, hex, in_ms, now_ms};

/// How long a key seals, by default: 12 hours.
const DEFAULT_PERIOD: Duration = Duration::from_secs(12 * 60 * 60);

/// Periods are between these, in milliseconds.
const PERIODS: core::ops::RangeInclusive<u64> = 100..=365 * 24 * 60 * 60 * 1000;

/// For how many periods a key may seal: for one unless the next one is late, because Redis is gone.
const SEALING_PERIODS: u64 = 2;

/// For how many periods a key opens.
const OPENING_PERIODS: u64 = 3;

/// The list is read at least this often, in milliseconds.
const MAX_INTERVAL: u64 = 60_000;

/// A key is published for so many readings of the list before it seals.
const READINGS_AHEAD: u64 = 4;

/// After a failure the list is read again this soon.
const RETRY: Duration = Duration::from_secs(1);

/// Tickets with an unknown key cause a reading of the list no more often than this: they cost a client nothing.
const UNKNOWN_GAP: Duration = Duration::from_millis(100);

/// More keys than anyone has in use: of more the oldest is forgotten.
const MAX_KEYS: usize = 64;

const PURPOSE: StorePurpose = StorePurpose::TicketKey;

/// Bytes of a key as it is sealed: slot, activation, id, secret.
const ENCODED_LEN: usize = 8 + 8 + 16 + 32;

/// Ticket keys in Redis, which rotate by themselves: a ticket sealed by one server is opened by all.
///
/// A key seals tickets for one period (12 hours unless set otherwise) and opens them for two more. Shortly before a
/// period ends (a quarter of it, at most four minutes) some server makes the key of the next, and Redis sees to it that
/// only one does; all servers read the list four times until then, so that each knows a key before any seals with it.
/// The first key of all seals at once: there is no other. A ticket with a key that is not known makes a server read the
/// list first, at most ten times per second.
///
/// Keys are kept in the process: a handshake waits for Redis only while there is none. When Redis is gone, the last key
/// seals for a period more; when Redis lost its memory, the servers put their keys back. The clocks of the servers have
/// to agree to within the time between publication and use. All servers should have the same period.
///
/// A task of the runtime reads the list until this is dropped.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, ConfigError, ServerConfig};
/// use tls_redis::{Redis, RedisTicketKeys};
///
/// fn configuration(certificate: CertifiedKey, redis: Redis) -> Result<ServerConfig, ConfigError> {
///     let keys = Arc::new(RedisTicketKeys::new(redis));
///     ServerConfig::builder().certificate(certificate).ticket_keys(keys).build()
/// }
/// ```
pub struct RedisTicketKeys {
    fleet: Arc<Fleet>,
    reader: AbortHandle,
}

struct Fleet {
    redis: Redis,
    /// The hash with all keys.
    name: String,
    /// Milliseconds.
    period: u64,
    keys: RwLock<Vec<SharedKey>>,
    /// One reads at a time, the others wait for what it finds.
    reading: tokio::sync::Mutex<Option<Instant>>,
    /// Counts readings, also failed ones.
    readings: AtomicU64,
}

#[derive(Clone)]
struct SharedKey {
    /// The beginning of the period it was made for, in milliseconds since 1970; 0 if it was made on demand.
    slot: u64,
    /// From when it seals, in milliseconds since 1970.
    active_from: u64,
    key: TicketKey,
}

impl SharedKey {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(ENCODED_LEN));
        out.extend_from_slice(&self.slot.to_be_bytes());
        out.extend_from_slice(&self.active_from.to_be_bytes());
        out.extend_from_slice(&self.key.id);
        out.extend_from_slice(&*self.key.secret);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (slot, rest) = bytes.split_first_chunk()?;
        let (active_from, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        Some(Self {
            slot: u64::from_be_bytes(*slot),
            active_from: u64::from_be_bytes(*active_from),
            key: TicketKey {
                id: *id,
                secret: Zeroizing::new(rest.try_into().ok()?),
            },
        })
    }

    /// A clock that was set back must not make a key live for ever, so that the future counts like the past.
    fn opens(&self, period: u64, now: u64) -> bool {
        now.abs_diff(self.active_from) < period.saturating_mul(OPENING_PERIODS)
    }

    fn seals(&self, period: u64, now: u64) -> bool {
        now.checked_sub(self.active_from)
            .is_some_and(|age| age < period.saturating_mul(SEALING_PERIODS))
    }
}

impl RedisTicketKeys {
    /// Shares keys through this Redis, a new one every 12 hours.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::with_rotation(redis, DEFAULT_PERIOD)
    }

    /// Shares keys through this Redis, a new one every `period`: between 100 ms and a year, and the same for all
    /// servers.
    #[must_use]
    pub fn with_rotation(redis: Redis, period: Duration) -> Self {
        let fleet = Arc::new(Fleet {
            name: redis.name("ticket-keys", ""),
            redis,
            period: in_ms(period).clamp(*PERIODS.start(), *PERIODS.end()),
            keys: RwLock::default(),
            reading: tokio::sync::Mutex::new(None),
            readings: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&fleet);
        let interval = Duration::from_millis(fleet.interval());
        let reader = fleet.redis.runtime().spawn(async move {
            while let Some(fleet) = weak.upgrade() {
                // A failure was warned of.
                let is_read = fleet.read().await.is_ok();
                drop(fleet);
                sleep(if is_read { interval } else { interval.min(RETRY) }).await;
            }
        });
        Self {
            fleet,
            reader: reader.abort_handle(),
        }
    }

    /// Publishes a new key, which seals in all servers once they have learned of it (after a quarter of a period, at
    /// most four minutes), instead of at the end of the period. The id of the key.
    ///
    /// Cancel safe: dropped, the key may have been published or not.
    ///
    /// # Errors
    /// Redis has not taken it.
    pub async fn rotate(&self) -> Result<[u8; 16], HookError> {
        let fleet = &self.fleet;
        let key = SharedKey {
            slot: 0,
            active_from: now_ms().saturating_add(fleet.lead()),
            key: TicketKey::generate()?,
        };
        let id = key.key.id;
        fleet.publish(&[key], &[], now_ms()).await?;
        match fleet.opening(&id) {
            Some(_) => Ok(id),
            None => Err("Redis has not kept the new ticket key".into()),
        }
    }
}

impl Fleet {
    /// Between two readings of the list, in milliseconds.
    fn interval(&self) -> u64 {
        (self.period / (READINGS_AHEAD * 4)).clamp(1, MAX_INTERVAL)
    }

    /// From publication to use, in milliseconds.
    fn lead(&self) -> u64 {
        self.interval().saturating_mul(READINGS_AHEAD)
    }

    /// The key that seals now. All servers that know the same keys choose the same.
    fn sealing(&self) -> Option<TicketKey> {
        let now = now_ms();
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .filter(|known| known.seals(self.period, now))
            .max_by_key(|known| (known.active_from, known.key.id))
            .map(|known| known.key.clone())
    }

    fn opening(&self, id: &[u8; 16]) -> Option<TicketKey> {
        let now = now_ms();
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .find(|known| known.key.id == *id && known.opens(self.period, now))
            .map(|known| known.key.clone())
    }

    /// Reads the list and adds what is missing in it. Of several callers one does it for all.
    async fn read(&self) -> Result<(), HookError> {
        let before = self.readings.load(Ordering::Acquire);
        let mut read_at = self.reading.lock().await;
        if self.readings.load(Ordering::Acquire) != before {
            return Ok(());
        }
        let result = self.read_and_complete().await;
        *read_at = Some(Instant::now());
        self.readings.fetch_add(1, Ordering::Release);
        result
    }

    /// Reads the list within the budget, for a handshake that waits for it.
    async fn read_in_time(&self) -> Result<(), HookError> {
        timeout(self.redis.budget(), self.read())
            .await
            .unwrap_or_else(|_| Err("Redis did not answer within the budget".into()))
    }

    /// Whether the list was read so lately that an unknown key is no reason to read it again.
    fn was_just_read(&self) -> bool {
        // While it is being read there is something to wait for.
        self.reading
            .try_lock()
            .is_ok_and(|read_at| read_at.is_some_and(|at| at.elapsed() < UNKNOWN_GAP))
    }

    async fn read_and_complete(&self) -> Result<(), HookError> {
        let now = now_ms();
        let mut query = Pipeline::new();
        query.hgetall(&self.name);
        let (fields,): (HashMap<Vec<u8>, Vec<u8>>,) = self.redis.ask("read ticket keys", &query).await?;
        let (published, expired) = self.open_all(fields, now);
        self.learn(&published, now);
        let missing = self.missing(&published, now)?;
        if missing.is_empty() && expired.is_empty() {
            return Ok(());
        }
        self.publish(&missing, &expired, now).await
    }

    /// The keys in the list that still open something, and the fields that are of no use: keys that do not, and what is
    /// damaged.
    fn open_all(&self, fields: HashMap<Vec<u8>, Vec<u8>>, now: u64) -> (Vec<SharedKey>, Vec<Vec<u8>>) {
        let (mut keys, mut expired) = (Vec::with_capacity(fields.len()), Vec::new());
        for (field, sealed) in fields {
            let opened = self.redis.open(PURPOSE, &self.place(&field), &sealed);
            match opened.and_then(|bytes| SharedKey::decode(&bytes)) {
                Some(key) if key.opens(self.period, now) => keys.push(key),
                Some(_) => expired.push(field),
                None if self.is_forgotten(&field, now) || self.is_ours(&field) => expired.push(field),
                // Perhaps somebody else can open it.
                None => {}
            }
        }
        (keys, expired)
    }

    /// What is to be published: keys that Redis has lost, and new ones for this period and soon the next.
    fn missing(&self, published: &[SharedKey], now: u64) -> Result<Vec<SharedKey>, HookError> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut missing: Vec<SharedKey> = known
            .iter()
            .filter(|known| published.iter().all(|other| other.key.id != known.key.id))
            .cloned()
            .collect();
        let soon = now.saturating_add(self.lead());
        let this_slot = now - now % self.period;
        let next_slot = this_slot.saturating_add(self.period);
        if known.iter().all(|known| known.slot != this_slot) {
            let is_first = !known.iter().any(|known| known.seals(self.period, now));
            missing.push(SharedKey {
                slot: this_slot,
                active_from: if is_first { now } else { soon },
                key: TicketKey::generate()?,
            });
        }
        if soon >= next_slot && known.iter().all(|known| known.slot != next_slot) {
            missing.push(SharedKey {
                slot: next_slot,
                active_from: soon,
                key: TicketKey::generate()?,
            });
        }
        Ok(missing)
    }

    /// Adds keys to the list, unless somebody else was faster; and learns what is in it then.
    async fn publish(&self, keys: &[SharedKey], expired: &[Vec<u8>], now: u64) -> Result<(), HookError> {
        let mut commands = pipe();
        commands.atomic();
        // First: what is damaged may be in the place of a new key.
        for field in expired {
            commands.hdel(&self.name, field).ignore();
        }
        for key in keys {
            let field = self.field(key);
            let sealed = self
                .redis
                .seal(PURPOSE, &self.place(field.as_bytes()), &key.encode())?;
            commands.hset_nx(&self.name, field, sealed).ignore();
        }
        commands
            .cmd("PEXPIRE")
            .arg(&self.name)
            .arg(self.period.saturating_mul(OPENING_PERIODS + 1))
            .ignore()
            .hgetall(&self.name);
        let (fields,): (HashMap<Vec<u8>, Vec<u8>>,) =
            self.redis.ask("publish ticket keys", &commands).await?;
        self.learn(&self.open_all(fields, now).0, now);
        Ok(())
    }

    /// Remembers these keys as well, and forgets those that open nothing any more.
    fn learn(&self, published: &[SharedKey], now: u64) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|known| known.opens(self.period, now));
        for new in published {
            if keys.iter().all(|known| known.key.id != new.key.id) {
                tracing::debug!(id = %hex(&new.key.id), active_from = new.active_from, "learned a ticket key");
                keys.push(new.clone());
            }
        }
        keys.sort_unstable_by_key(|known| known.active_from);
        let surplus = keys.len().saturating_sub(MAX_KEYS);
        keys.drain(..surplus);
    }

    /// Where a key is in the list: a time by which to forget it, the key that sealed it, and the id. A new key for a
    /// period has no id there, so that all servers compete for one place and one makes it. (Servers that seal with
    /// another key while that is being replaced make one of their own.)
    fn field(&self, key: &SharedKey) -> String {
        let time = key.slot.max(key.active_from);
        let sealer = hex(self.redis.key_id());
        if key.slot == 0 || self.opening(&key.key.id).is_some() {
            format!("{time}.{sealer}.{}", hex(&key.key.id))
        } else {
            format!("{}.{sealer}", key.slot)
        }
    }

    /// Whether an entry that cannot be opened is so old that nobody needs it.
    fn is_forgotten(&self, field: &[u8], now: u64) -> bool {
        let time = field.split(|byte| *byte == b'.').next();
        time.and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok())
            .is_some_and(|time: u64| now.abs_diff(time) > self.period.saturating_mul(OPENING_PERIODS + 1))
    }

    /// Whether an entry claims to be sealed with the key that we seal with: then it should open, and nobody else can open
    /// it.
    fn is_ours(&self, field: &[u8]) -> bool {
        let sealer = field.split(|byte| *byte == b'.').nth(1);
        sealer == Some(hex(self.redis.key_id()).as_bytes())
    }

    /// What an entry is bound to.
    fn place(&self, field: &[u8]) -> Vec<u8> {
        [self.name.as_bytes(), b"#", field].concat()
    }
}

impl Drop for RedisTicketKeys {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl fmt::Debug for RedisTicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self
            .fleet
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        f.debug_struct("RedisTicketKeys")
            .field("redis", &self.fleet.redis)
            .field("period_ms", &self.fleet.period)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

impl TicketKeys for RedisTicketKeys {
    /// Answers at once if there is a key. Dropped before it has answered, nothing is lost.
    fn sealing_key<'a>(
        &'a self,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        let fleet = &self.fleet;
        if let Some(key) = fleet.sealing() {
            return Answer::Now(Ok(Some(key)));
        }
        Answer::later(async move {
            fleet.read_in_time().await?;
            Ok(fleet.sealing())
        })
    }

    /// Answers at once if the key is known, or the list was just read. Dropped before it has answered, nothing is lost.
    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        let fleet = &self.fleet;
        if let Some(key) = fleet.opening(id) {
            return Answer::Now(Ok(Some(key)));
        }
        if fleet.was_just_read() {
            return Answer::Now(Ok(None));
        }
        Answer::later(async move {
            fleet.read_in_time().await?;
            Ok(fleet.opening(id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(active_from: u64) -> SharedKey {
        SharedKey {
            slot: 7,
            active_from,
            key: TicketKey::generate().unwrap(),
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let key = key(1_800_000_000_000);
        let bytes = key.encode();
        assert_eq!(bytes.len(), ENCODED_LEN);
        let read = SharedKey::decode(&bytes).unwrap();
        assert_eq!((read.slot, read.active_from), (key.slot, key.active_from));
        assert_eq!((read.key.id, *read.key.secret), (key.key.id, *key.key.secret));
        for len in 0..ENCODED_LEN {
            assert!(SharedKey::decode(&bytes[..len]).is_none());
        }
        assert!(SharedKey::decode(&[&bytes[..], &[0]].concat()).is_none());
    }

    #[test]
    fn a_key_opens_before_it_seals_and_for_longer() {
        let key = key(1000);
        assert!(key.opens(10, 990) && !key.seals(10, 990));
        assert!(key.opens(10, 1000) && key.seals(10, 1000));
        assert!(key.seals(10, 1019) && !key.seals(10, 1020));
        assert!(key.opens(10, 1029) && !key.opens(10, 1030));
        assert!(!key.opens(10, 970), "the clock was set back");
    }
}
