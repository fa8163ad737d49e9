//! The options of `tls serve` that say where sessions are: in tickets, in memory, or on a Redis that a fleet shares.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, value_parser};
use tls_redis::{Redis, RedisReplayGuard, RedisSessionStore, RedisTicketKeys, StoreKey};
use tls_tokio::MemorySessionStore;
use tls_tokio::tls_core::{RotatingTicketKeys, ServerConfigBuilder, Zeroizing};

use crate::args::{Limit, seconds};
use crate::console;
use crate::failure::Failure;
use crate::setup;

/// Bytes of the secret in a file of `--store-key`.
const SECRET_LEN: usize = 32;

/// A year, in seconds.
const MAX_PERIOD: u64 = 365 * 24 * 60 * 60;

/// What `--redis` without a key is answered with.
const KEY_IS_MISSING: &str = "--redis needs --store-key FILE: 32 random bytes that seal what is stored, the same for \
                              all servers and unknown to Redis (make them with: umask 077; openssl rand -hex 32 > FILE)";

/// Where sessions are kept, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sessions")]
pub(crate) struct SessionArguments {
    /// How many session tickets a client gets that does not say how many it wants; 0 for none, and no resumption
    #[arg(long, value_name = "N", default_value = "2")]
    tickets: u8,

    /// Remember sessions here, instead of in the tickets: session ids in TLS 1.2, tickets that are only names in 1.3
    #[arg(long)]
    stateful: bool,

    /// How long a key seals tickets before the next one does; it opens them for two such periods more
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "43200",
        conflicts_with = "stateful"
    )]
    #[arg(value_parser = value_parser!(u64).range(1..=MAX_PERIOD))]
    ticket_key_period: u64,

    /// Accept up to so many bytes of early data (0-RTT) with a ticket; 0 for none. It is accepted once, but a client that
    /// was refused may send it again: a GET or HEAD in it is answered at once, all else after the handshake. With --redis
    /// once in the whole fleet, and not in the first seconds after Redis has lost its memory
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) early_data: u32,

    /// Share sessions with all servers that use this Redis (redis://USER:PASSWORD@HOST:PORT/DATABASE), so that each
    /// resumes what any of them made: the ticket keys, with --stateful the sessions; needs --store-key. While Redis does
    /// not answer, handshakes go on without it
    #[arg(long, value_name = "URL")]
    redis: Option<String>,

    /// What seals the entries in Redis: a file of 32 random bytes, raw or as 64 hexadecimal digits, the same for all
    /// servers and unknown to Redis. Of several (the option repeated) the first seals and all open
    #[arg(long, value_name = "FILE", requires = "redis")]
    store_key: Vec<PathBuf>,

    /// How long a handshake waits for each answer of Redis; 0 for no limit but the handshake's own
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = seconds, requires = "redis")]
    redis_timeout: Limit,
}

impl SessionArguments {
    /// Adds what they ask for. A Redis that is not there is no failure: a warning says so, and handshakes are full
    /// until it comes. To be called within the runtime.
    pub(crate) fn server(&self, builder: ServerConfigBuilder) -> Result<ServerConfigBuilder, Failure> {
        let builder = builder.tickets(self.tickets).max_early_data(self.early_data);
        let period = Duration::from_secs(self.ticket_key_period);
        let Some(redis) = self.redis()? else {
            return Ok(match self.stateful {
                true => builder.session_store(Arc::new(MemorySessionStore::default())),
                false => builder.ticket_keys(Arc::new(RotatingTicketKeys::new().with_rotation(period))),
            });
        };
        let builder = builder.replay_guard(Arc::new(RedisReplayGuard::new(redis.clone())));
        Ok(match self.stateful {
            true => builder.session_store(Arc::new(RedisSessionStore::new(redis))),
            false => builder.ticket_keys(Arc::new(RedisTicketKeys::with_rotation(redis, period))),
        })
    }

    /// The Redis of the fleet, if there is one; asked once, so that the log says at the start if it does not answer.
    fn redis(&self) -> Result<Option<Redis>, Failure> {
        let Some(url) = &self.redis else {
            return Ok(None);
        };
        let Some((first, further)) = self.store_key.split_first() else {
            return Err(Failure::misuse(KEY_IS_MISSING));
        };
        let mut redis = Redis::new(url, store_key(first)?)
            .map_err(|error| Failure::misuse(format!("--redis: {error}")))?
            .with_budget(self.redis_timeout.0.unwrap_or(Duration::MAX));
        for file in further {
            redis = redis.with_further_key(store_key(file)?);
        }
        let asked = redis.clone();
        drop(tokio::spawn(async move {
            // A failure is warned of.
            let _ = asked.ping().await;
        }));
        Ok(Some(redis))
    }
}

/// The key in this file, which should be nobody else's to read.
fn store_key(file: &Path) -> Result<StoreKey, Failure> {
    let bytes = Zeroizing::new(setup::read_file(file)?);
    let secret = secret(&bytes).ok_or_else(|| {
        Failure::new(format!(
            "{} is no store key: {SECRET_LEN} bytes are expected, raw or as {} hexadecimal digits",
            file.display(),
            2 * SECRET_LEN
        ))
    })?;
    if is_open_to_others(file) {
        console::say(format_args!(
            "others can read the store key in {} (help: chmod 600)",
            file.display()
        ));
    }
    Ok(StoreKey::new(*secret))
}

/// Raw bytes, or hexadecimal digits with white space around them. No text of digits is taken for raw bytes: it would be
/// twice as long.
fn secret(bytes: &[u8]) -> Option<Zeroizing<[u8; SECRET_LEN]>> {
    if let Ok(raw) = bytes.try_into() {
        return Some(Zeroizing::new(raw));
    }
    let digits = bytes.trim_ascii();
    if digits.len() != 2 * SECRET_LEN {
        return None;
    }
    let mut secret = Zeroizing::new([0; SECRET_LEN]);
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(secret)
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_32_bytes_raw_or_in_hexadecimal() {
        let bytes: [u8; SECRET_LEN] = core::array::from_fn(|at| (at * 7) as u8);
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let upper = digits.to_uppercase();
        for good in [
            &bytes[..],
            digits.as_bytes(),
            upper.as_bytes(),
            format!(" {digits}\r\n").as_bytes(),
        ] {
            assert_eq!(secret(good).as_deref(), Some(&bytes), "{good:?}");
        }
        let other = digits.replace("0e", "0x");
        for wrong in [
            &bytes[1..],
            b"",
            &digits.as_bytes()[1..],
            other.as_bytes(),
            &[0; 33],
            &[b' '; 64],
        ] {
            assert!(secret(wrong).is_none(), "{wrong:?}");
        }
    }
}
