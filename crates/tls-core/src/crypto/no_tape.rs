//! What stands in the place of `tape.rs` in all builds but those of its tests: nothing is recorded or replayed.

use aws_lc_rs::{agreement, kem};

#[inline]
pub(crate) fn fill<E>(out: &mut [u8], make: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
    make(out)
}

#[inline]
pub(crate) fn signature<E>(_: &[u8], make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    make()
}

#[inline]
pub(crate) fn agreement_key<E>(
    _: &'static agreement::Algorithm,
    make: impl Fn() -> Result<agreement::PrivateKey, E>,
) -> Result<agreement::PrivateKey, E> {
    make()
}

#[inline]
pub(crate) fn decapsulation_key<E>(
    make: impl Fn() -> Result<kem::DecapsulationKey, E>,
) -> Result<kem::DecapsulationKey, E> {
    make()
}

#[inline]
pub(crate) fn public_of(_: &kem::DecapsulationKey) -> Option<Vec<u8>> {
    None
}

#[inline]
pub(crate) fn encapsulate<T>(key: &[u8], take: impl FnOnce(&[u8], &[u8]) -> T) -> Option<T> {
    super::key_exchange::encapsulate(key, take)
}
