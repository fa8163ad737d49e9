//! The only room that names aws-lc-rs: hashes, HKDF, key exchange, signatures, random bytes and cipher suites.

pub(crate) mod aead;
pub(crate) mod hash;
pub(crate) mod hkdf;
pub(crate) mod key_exchange;
#[cfg(test)]
mod key_exchange_vectors;
pub(crate) mod prf;
pub(crate) mod random;
pub(crate) mod sign;
pub(crate) mod suites;
#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
pub(crate) mod tape;
#[cfg(not(all(feature = "dangerous-recorded-crypto", debug_assertions)))]
#[path = "no_tape.rs"]
pub(crate) mod tape;
pub(crate) mod ticket_seal;
pub(crate) mod verification;

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
