//! Short byte strings kept inline, to spare an allocation.

use core::fmt;
use core::ops::Deref;

/// Up to `N` bytes (and `N` at most 255).
#[derive(Clone, Copy)]
pub(crate) struct ShortBytes<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

/// A session ID, at most 32 bytes (section 4.1.2).
pub(crate) type SessionId = ShortBytes<32>;

/// The content of a Finished: as long as the hash, or 12 bytes in TLS 1.2.
pub(crate) type VerifyData = ShortBytes<64>;

impl<const N: usize> ShortBytes<N> {
    /// No bytes at all.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// A copy of these bytes, or `None` if they are too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut short = Self::EMPTY;
        short.len = u8::try_from(bytes.len()).ok()?;
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(short)
    }
}

impl<const N: usize> Deref for ShortBytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&[])
    }
}

impl<const N: usize> From<[u8; N]> for ShortBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        const { assert!(N <= 255) };
        Self { bytes, len: N as u8 }
    }
}

impl<const N: usize> PartialEq for ShortBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for ShortBytes<N> {}

impl<const N: usize> fmt::Debug for ShortBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_went_in_and_too_many_are_refused() {
        for len in 0..=32 {
            assert_eq!(&*SessionId::new(&[7; 32][..len]).unwrap(), &[7; 32][..len]);
        }
        assert_eq!(SessionId::new(&[7; 33]), None);
        assert_eq!(SessionId::new(&[7; 32]), Some(SessionId::from([7; 32])));
    }
}
