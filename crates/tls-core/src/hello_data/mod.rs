//! A ClientHello as data: its fingerprints, and its serialisation (feature `serde`). The handshake needs neither.

mod fingerprint;
mod md5;
#[cfg(feature = "serde")]
mod serialize;
