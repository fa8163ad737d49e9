//! TLS without IO.
mod alert;
mod crypto;
mod error;
mod key_schedule;
mod messages;
mod registry;
#[cfg(test)]
mod test_vectors;
mod transcript;
mod wire;

pub use crypto::sign::{KeyError, SigningKey};
