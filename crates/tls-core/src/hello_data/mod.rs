//! A ClientHello as data: its fingerprints, and its serialisation (feature `serde`). The handshake needs neither.

mod fingerprint;
#[cfg(feature = "serde")]
mod serialize;
