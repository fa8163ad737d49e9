//! The record layer (section 5): bytes of the transport to messages and data, and back.
//!
//! [`Input`] and [`Output`] serve the handshake and the connection after it. Neither does IO: the transport reads
//! into [`Input::space`] and writes from [`Output::pending`].

mod buffer;
mod header;
mod input;
mod join;
mod output;
mod protect;
mod protect12;
mod split;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests12;

#[cfg(test)]
pub(crate) use buffer::pooled;
pub(crate) use input::{ChangeCipherSpec, Incoming, Input};
pub(crate) use join::MAX_CERTIFICATE_MESSAGE;
pub(crate) use output::Output;
pub use split::Padding;

/// Most bytes of content in one record (section 5.1).
pub(crate) const MAX_FRAGMENT: usize = 1 << 14;
