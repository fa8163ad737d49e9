//! The handshake: one straight-line async function per side and version, in the order of the RFC's figure.

mod client;
mod client13;
mod keys;
mod server;
mod server13;
mod signature;

pub use client::connect;
pub use server::accept;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
