//! The hash functions of the cipher suites.

use core::fmt;

use aws_lc_rs::{digest, hmac};

/// Length in bytes of the longest hash of any cipher suite (SHA-384).
pub(crate) const MAX_HASH_LEN: usize = 48;

/// The hash of a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HashAlgorithm {
    Sha256,
    Sha384,
}

impl HashAlgorithm {
    /// Length of the hash in bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => MAX_HASH_LEN,
        }
    }

    /// The hash of no bytes: the transcript hash of an empty context (section 7.1).
    pub(crate) const fn of_empty(self) -> &'static HashValue {
        const SHA256: HashValue = HashValue::from_array([
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ]);
        const SHA384: HashValue = HashValue::from_array([
            0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9, 0x32, 0x7e, 0xb1, 0xb1, 0xe3, 0x6a,
            0x21, 0xfd, 0xb7, 0x11, 0x14, 0xbe, 0x07, 0x43, 0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6, 0xe1, 0xda,
            0x27, 0x4e, 0xde, 0xbf, 0xe7, 0x6f, 0x65, 0xfb, 0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b,
        ]);
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
        }
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }
}

/// The result of a hash or an HMAC, without allocation.
#[derive(Clone, Copy)]
pub(crate) struct HashValue {
    bytes: [u8; MAX_HASH_LEN],
    len: u8,
}

impl HashValue {
    const fn from_array<const N: usize>(array: [u8; N]) -> Self {
        const { assert!(N <= MAX_HASH_LEN) };
        let mut bytes = [0; MAX_HASH_LEN];
        let (head, _) = bytes.split_at_mut(N);
        head.copy_from_slice(&array);
        Self { bytes, len: N as u8 }
    }

    /// At most [`MAX_HASH_LEN`] bytes are taken; our two hashes have no more.
    pub(super) fn from_slice(slice: &[u8]) -> Self {
        debug_assert!(slice.len() <= MAX_HASH_LEN);
        let mut bytes = [0; MAX_HASH_LEN];
        let len = slice.len().min(MAX_HASH_LEN);
        bytes.iter_mut().zip(slice).for_each(|(to, from)| *to = *from);
        Self {
            bytes,
            len: len as u8,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for HashValue {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for HashValue {
    /// In constant time, since verify_data is compared so.
    fn eq(&self, other: &Self) -> bool {
        super::constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for HashValue {}

impl fmt::Debug for HashValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A hash being computed.
#[derive(Clone)]
pub(crate) struct HashContext {
    context: digest::Context,
    algorithm: HashAlgorithm,
}

impl HashContext {
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        Self {
            context: digest::Context::new(algorithm.digest()),
            algorithm,
        }
    }

    pub(crate) const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The hash of what was added so far; more may follow.
    pub(crate) fn current(&self) -> HashValue {
        self.clone().finish()
    }

    /// The hash of all that was added.
    pub(crate) fn finish(self) -> HashValue {
        HashValue::from_slice(self.context.finish().as_ref())
    }
}

impl fmt::Debug for HashContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HashContext").field(&self.algorithm).finish()
    }
}

/// SHA-256 of these bytes, for digests that are no part of the protocol.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The hash of these bytes.
pub(crate) fn hash(algorithm: HashAlgorithm, bytes: &[u8]) -> HashValue {
    HashValue::from_slice(digest::digest(algorithm.digest(), bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Sha384];

    #[test]
    fn the_hash_of_nothing_is_the_constant() {
        for algorithm in BOTH {
            assert_eq!(hash(algorithm, b""), *algorithm.of_empty());
            assert_eq!(algorithm.of_empty().as_bytes().len(), algorithm.len());
        }
    }

    #[test]
    fn a_context_goes_on_after_its_current_value_was_taken() {
        for algorithm in BOTH {
            let mut context = HashContext::new(algorithm);
            context.update(b"ab");
            assert_eq!(context.current(), hash(algorithm, b"ab"));
            context.update(b"c");
            assert_eq!(context.current(), hash(algorithm, b"abc"));
        }
        assert_eq!(
            format!("{:?}", hash(HashAlgorithm::Sha256, b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn values_of_different_hashes_differ() {
        assert_ne!(hash(HashAlgorithm::Sha256, b""), hash(HashAlgorithm::Sha384, b""));
    }
}
