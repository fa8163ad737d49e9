//! TLS without IO.
mod alert;
mod error;
mod registry;
mod wire;
