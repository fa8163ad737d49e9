//! Sessions, ticket keys and the guard against replayed early data on Redis, so that a fleet of servers (or of clients)
//! resumes as if it were one.
//!
//! | type | hook of [`tls_core`] | for |
//! | --- | --- | --- |
//! | [`RedisSessionCache`] | [`ClientSessionCache`](tls_core::ClientSessionCache) | clients that share their sessions |
//! | [`RedisSessionStore`] | [`ServerSessionStore`](tls_core::ServerSessionStore) | sessions by id |
//! | [`RedisTicketKeys`] | [`TicketKeys`](tls_core::TicketKeys) | tickets that every server opens |
//! | [`RedisReplayGuard`] | [`ReplayGuard`](tls_core::ReplayGuard) | early data accepted once in the whole fleet |
//!
//! All share a [`Redis`]: one connection, which comes back by itself.
//!
//! **What Redis can do.** Sessions and ticket keys are sealed with a [`StoreKey`] that Redis does not have: whoever
//! controls Redis can neither read nor make nor change nor swap them, only lose them or put old ones back. The guard
//! against replays is as honest as Redis is.
//!
//! **When Redis is slow or gone.** Each operation has a budget of its own, 100 ms by default; after three without an
//! answer only one is tried every 250 ms and the others fail at once. A failed look-up costs a full handshake, a failed
//! guard refuses early data; no handshake fails. A warning says so, at most one every ten seconds.
//!
//! **Cancel safety.** Each hook's future may be dropped at any time. What was sent to Redis by then may take effect: a
//! session may be gone or kept, and a fingerprint counts as seen; each at most costs a full handshake.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tls_redis::{Redis, RedisReplayGuard, RedisSessionStore, RedisTicketKeys, StoreKey};
//!
//! # let secret = [0; 32];
//! let redis = Redis::new("redis://127.0.0.1/", StoreKey::new(secret))?;
//! let ticket_keys = RedisTicketKeys::new(redis.clone());
//! let store = RedisSessionStore::new(redis.clone());
//! let guard = RedisReplayGuard::new(redis);
//! # Ok(()) }
//! ```
#![warn(missing_debug_implementations)]

mod client_sessions;
mod health;
mod link;
mod replay_guard;
mod server_sessions;
mod ticket_keys;

pub use client_sessions::RedisSessionCache;
pub use link::{DEFAULT_BUDGET, DEFAULT_PREFIX, Redis};
pub use replay_guard::RedisReplayGuard;
pub use server_sessions::RedisSessionStore;
pub use ticket_keys::RedisTicketKeys;
pub use tls_core::StoreKey;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
