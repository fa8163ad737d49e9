//! TLS without IO.
#![forbid(unsafe_code)]

mod alert;
mod connection;
mod crypto;
mod error;
mod key_schedule;
mod record;
mod registry;
mod wire;

pub use connection::{Connection, Control, ReadEvent, Reader, Writer};
