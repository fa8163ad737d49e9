//! Sessions in their form as bytes, to be changed.

use aws_lc_rs::digest::{SHA256, digest};
use tls_core::ClientSession;

/// Bytes of the checksum at the end.
const CHECKSUM_LEN: usize = 8;

/// The bytes with the checksum that belongs to them.
#[must_use]
pub fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = digest(&SHA256, &bytes);
    bytes.extend(&checksum.as_ref()[..CHECKSUM_LEN]);
    bytes
}

/// The bytes without their checksum.
#[must_use]
pub fn without_checksum(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - CHECKSUM_LEN]
}

/// The session that these bytes are the form of, but for the checksum.
///
/// # Panics
/// If they are not.
#[must_use]
pub fn read(bytes: Vec<u8>) -> ClientSession {
    ClientSession::from_bytes(&with_checksum(bytes)).expect("it is a session")
}

/// The form of a session without its checksum.
#[must_use]
pub fn write(session: &ClientSession) -> Vec<u8> {
    without_checksum(&session.to_bytes()).to_vec()
}
