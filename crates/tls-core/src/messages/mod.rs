//! The handshake messages: one file each, both directions.
//!
//! A message that was decoded is well formed: typed fields, no duplicates, nothing left over, lists within the bounds
//! of the RFC. Whether it may say what it says is for the handshake to judge; [`extensions::check_placement`] is the
//! one check of that kind that lives here.

pub(crate) mod alpn;
pub(crate) mod certificate;
pub(crate) mod certificate_request;
pub(crate) mod certificate_verify;
pub(crate) mod client_extensions;
pub(crate) mod client_hello;
pub(crate) mod encrypted_extensions;
pub(crate) mod end_of_early_data;
pub(crate) mod extensions;
pub(crate) mod finished;
mod hello_view;
pub(crate) mod key_share;
pub(crate) mod key_update;
pub(crate) mod new_session_ticket;
pub(crate) mod pre_shared_key;
#[cfg(test)]
mod properties;
pub(crate) mod server_hello;
pub(crate) mod server_name;
pub(crate) mod short_bytes;
#[cfg(test)]
mod testing;
pub(crate) mod tls12;

use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Prefixed24, Put, Reader};

/// Bytes of the header of a handshake message: its type and its length (section 4).
pub(crate) const HEADER_LEN: usize = 4;

/// A handshake message, without its header.
pub(crate) trait Message: Sized {
    /// What its header calls it.
    const TYPE: HandshakeType;

    /// Reads the body. What is left over is for [`decode_message`] to refuse.
    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes>;

    /// Appends the body.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Appends a message with its header.
pub(crate) fn encode_message<M: Message>(message: &M, out: &mut Vec<u8>) {
    encode_with(M::TYPE, out, |body| message.encode(body));
}

/// Appends the header of a message and the body that `encode` writes: for bodies that are lent, not owned.
pub(crate) fn encode_with(message: HandshakeType, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    out.put_u8(message);
    encode(&mut Prefixed24::new(out));
}

/// Reads a message from the whole of its body.
pub(crate) fn decode_message<M: Message>(body: &[u8]) -> Result<M, BadBytes> {
    let name = const { name_of(M::TYPE) };
    let mut reader = Reader::new(name, body);
    let message = M::decode(&mut reader)?;
    reader.end(name)?;
    Ok(message)
}

const fn name_of(message: HandshakeType) -> &'static str {
    match message.name() {
        Some(name) => name,
        None => "handshake message",
    }
}
