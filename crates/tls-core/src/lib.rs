//! TLS without IO.
mod alert;
mod error;
mod messages;
mod registry;
mod wire;
