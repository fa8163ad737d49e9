//! The connection to Redis, with a budget per operation, and what all hooks do with it.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError};
use tls_core::{ConfigError, HookError, StoreKey, StorePurpose, Zeroizing};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::health::{Health, Outcome};

/// How long an operation may take unless set otherwise: see [`Redis::with_budget`].
pub const DEFAULT_BUDGET: Duration = Duration::from_millis(100);

/// What all keys in Redis begin with unless set otherwise: see [`Redis::with_prefix`].
pub const DEFAULT_PREFIX: &str = "tls:";

/// For an attempt to connect, and for an answer that nobody waits for any more.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest entry: more than any session has. Longer ones are not stored, and not looked at.
const MAX_ENTRY: usize = 1 << 20;

/// A Redis server (6.2 or later, or Valkey; no cluster) and the key that seals what is kept there. Cheap to clone;
/// clones share one connection.
///
/// Nothing is awaited to make one: the connection is opened in the background, and opened again whenever it is lost.
///
/// ```no_run
/// use std::time::Duration;
/// use tls_redis::{Redis, StoreKey};
///
/// # async fn example(secret: [u8; 32]) -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::new("redis://127.0.0.1/", StoreKey::new(secret))?
///     .with_prefix("shop:")
///     .with_budget(Duration::from_millis(50));
/// // Only to learn early that something is wrong: nothing needs it.
/// if redis.ping().await.is_err() {
///     eprintln!("Redis does not answer yet");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    prefix: Arc<str>,
    budget: Duration,
    /// The first seals, all open.
    keys: Arc<[StoreKey]>,
}

struct Shared {
    client: Client,
    /// Where the connection lives.
    runtime: Handle,
    /// Reconnects by itself where an operation meets an error; replaced where that does not help.
    manager: RwLock<ConnectionManager>,
    health: Mutex<Health>,
}

impl Redis {
    /// The server at this URL (`redis://[user][:password@]host[:port][/database]`, or `redis+unix:///path`), with the key
    /// that seals entries: the same in all processes that share them, and unknown to Redis.
    ///
    /// # Errors
    /// The URL is none, or this is not called within a Tokio runtime. A server that is not there is no error.
    pub fn new(url: &str, key: StoreKey) -> Result<Self, ConfigError> {
        let runtime = Handle::try_current()
            .map_err(|_| ConfigError::new("Redis::new was called outside a Tokio runtime"))?;
        // Errors of the library could repeat the URL, with its password.
        let info = url
            .into_connection_info()
            .map_err(|_| ConfigError::new("this is no URL of a Redis server"))?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client =
            Client::open(info).map_err(|_| ConfigError::new("the URL of the Redis server cannot be used"))?;
        let manager = connect(&client, &runtime)
            .map_err(|_| ConfigError::new("the URL of the Redis server cannot be connected to"))?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                runtime,
                manager: RwLock::new(manager),
                health: Mutex::new(Health::new(Instant::now())),
            }),
            prefix: DEFAULT_PREFIX.into(),
            budget: DEFAULT_BUDGET,
            keys: Arc::new([key]),
        })
    }

    /// Sets what all keys in Redis begin with. Default: `tls:`. Entries are bound to their whole key, so that those of
    /// one prefix are worth nothing under another.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long each operation may take, from the question to the answer, before the handshake goes on without it.
    /// Default: 100 ms.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Adds a key that opens entries and seals none: the one in use before the current one, or the next one while it is
    /// being rolled out.
    #[must_use]
    pub fn with_further_key(mut self, key: StoreKey) -> Self {
        self.keys = self.keys.iter().cloned().chain([key]).collect();
        self
    }

    /// Asks whether it answers, for example at the start of a process: a failure is warned of, as all are. Nothing depends
    /// on it.
    ///
    /// Cancel safe: nothing is changed.
    ///
    /// # Errors
    /// It does not, or not within the budget.
    pub async fn ping(&self) -> Result<(), HookError> {
        let mut commands = redis::pipe();
        commands.cmd("PING").ignore();
        self.ask("ask whether it is there", &commands).await
    }

    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// The runtime it was made in: the connection and all tasks live there.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    /// The id of the key that seals.
    pub(crate) fn key_id(&self) -> &[u8] {
        self.keys.first().map_or(&[], |key| key.id())
    }

    /// The name of an entry of this kind.
    pub(crate) fn name(&self, kind: &str, rest: &str) -> String {
        [&self.prefix, kind, rest].concat()
    }

    /// Sends the commands and waits for the answers, for as long as the budget allows.
    ///
    /// Cancel safe: dropped, it may or may not have taken effect.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: &Pipeline,
    ) -> Result<T, HookError> {
        if !self.health().admits(Instant::now()) {
            self.warn_of_outage(operation, &"no answer lately");
            return Err("Redis does not answer".into());
        }
        let mut manager = self
            .shared
            .manager
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let answer = timeout(self.budget, commands.query_async(&mut manager)).await;
        let outcome = match &answer {
            Ok(Ok(_)) => Outcome::Success,
            Ok(Err(error)) if is_answer(error) => Outcome::Refusal,
            Ok(Err(_)) | Err(_) => Outcome::Silence,
        };
        let advice = self.health().ended(outcome, Instant::now());
        if advice.recovered {
            tracing::info!("Redis answers again");
        }
        if advice.reconnect {
            self.reconnect();
        }
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.warn_of_outage(operation, &describe(&error));
                Err(describe(&error).into())
            }
            Err(_) => {
                self.warn_of_outage(operation, &"no answer within the budget");
                Err("Redis did not answer within the budget".into())
            }
        }
    }

    /// Seals an entry to be stored under this name.
    pub(crate) fn seal(
        &self,
        purpose: StorePurpose,
        name: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, HookError> {
        if plaintext.len() > MAX_ENTRY - StoreKey::OVERHEAD {
            return Err("too long to be stored".into());
        }
        let key = self.keys.first().ok_or("no key")?;
        Ok(key.seal(purpose, name, plaintext)?)
    }

    /// Opens what was stored under this name. `None`, with a warning, if it was changed, moved, or sealed by others.
    pub(crate) fn open(
        &self,
        purpose: StorePurpose,
        name: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let opened = (sealed.len() <= MAX_ENTRY)
            .then(|| self.keys.iter().find_map(|key| key.open(purpose, name, sealed)))
            .flatten();
        if opened.is_none() {
            self.warn_of_entry(purpose, "it does not open");
        }
        opened
    }

    /// Warns of an entry that is of no use.
    pub(crate) fn warn_of_entry(&self, purpose: StorePurpose, what: &str) {
        if let Some(suppressed) = self.health().entry_warnings.may_speak(Instant::now()) {
            tracing::warn!(?purpose, suppressed, "an entry in Redis is ignored: {what}");
        }
    }

    fn warn_of_outage(&self, operation: &str, error: &dyn fmt::Display) {
        if let Some(suppressed) = self.health().outage_warnings.may_speak(Instant::now()) {
            tracing::warn!(operation, %error, suppressed, "Redis failed; handshakes go on without it");
        }
    }

    fn reconnect(&self) {
        tracing::debug!("making a new connection to Redis");
        if let Ok(new) = connect(&self.shared.client, &self.shared.runtime) {
            *self
                .shared
                .manager
                .write()
                .unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Redis {
    /// Without the URL: it may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("prefix", &self.prefix)
            .field("budget", &self.budget)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn connect(client: &Client, runtime: &Handle) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        // A failed attempt fails whoever waits for it; the next operation starts the next one.
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECTION_TIMEOUT))
        .set_response_timeout(Some(CONNECTION_TIMEOUT));
    let _entered = runtime.enter();
    let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
    // An operation that gives up must not be what the first attempt depends on.
    let mut first = manager.clone();
    drop(runtime.spawn(async move {
        let _ = first.send_packed_command(&redis::cmd("PING")).await;
    }));
    Ok(manager)
}

/// Whether Redis itself said so.
fn is_answer(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType
    )
}

/// The error, without what Redis answered instead of what it should have.
fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::UnexpectedReturnType => "Redis answered something else than what was asked".into(),
        _ => error.to_string(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, in_ms)
}

/// Milliseconds, at most as many as there are.
pub(crate) fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
