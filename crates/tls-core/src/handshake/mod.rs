//! The handshake: one straight-line async function per side and version, in the order of the RFC's figure.

mod chain;
mod client;
mod client12;
mod client13;
mod client_auth;
mod early13;
mod early_connection;
mod keys;
mod keys12;
mod pending_accept;
mod psk13;
mod resume12;
mod server;
mod server12;
mod server13;
mod signature;

pub use client::{connect, connect_early};
pub use early_connection::{EarlyConnection, Unfinished};
pub use pending_accept::{PendingAccept, read_client_hello};
pub use server::{accept, accept_early};

#[cfg(test)]
mod client_auth_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests12;
