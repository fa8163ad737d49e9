//! HKDF (RFC 5869) and HKDF-Expand-Label (section 7.1), built from HMAC.
//!
//! One `hmac::Key` serves all that is derived from one secret. aws-lc-rs's own HKDF extracts again for every output,
//! which makes the whole key schedule 30-50 % slower.

use core::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroize;

use super::hash::{HashAlgorithm, HashValue, MAX_HASH_LEN};
use crate::error::{Error, Misuse};

/// What every label starts with (section 7.1).
const LABEL_PREFIX: &[u8] = b"tls13 ";

/// Longest label in bytes, without the prefix: with it, its length fits one byte.
pub(crate) const MAX_LABEL_LEN: usize = 255 - LABEL_PREFIX.len();

/// Longest HkdfLabel: output length, label and context with their length bytes; and the block counter.
const MAX_INFO_LEN: usize = 2 + 1 + 255 + 1 + 255 + 1;

/// Longest label of section 7.1, without the prefix.
const MAX_FIXED_LABEL_LEN: usize = 16;

/// The same for those, with a hash as context: a tenth of the memory to be zeroed, 17 times in a handshake.
const FIXED_INFO_LEN: usize = 2 + 1 + LABEL_PREFIX.len() + MAX_FIXED_LABEL_LEN + 1 + MAX_HASH_LEN + 1;

/// HKDF's block counter is one byte (RFC 5869 2.3).
const MAX_BLOCKS: usize = 255;

/// A secret of at most [`MAX_HASH_LEN`] bytes: wiped when dropped, never shown.
#[derive(Clone)]
pub(crate) struct Secret {
    bytes: [u8; MAX_HASH_LEN],
    len: u8,
}

impl Secret {
    /// A secret that came from outside, such as a PSK out of a ticket. `None` if it is longer than any hash.
    pub(crate) fn from_slice(slice: &[u8]) -> Option<Self> {
        (slice.len() <= MAX_HASH_LEN).then(|| Self::copy_of(slice))
    }

    /// A constant; only for values that are no secret, such as the "derived" secret without PSK.
    pub(crate) const fn from_array<const N: usize>(array: [u8; N]) -> Self {
        const { assert!(N <= MAX_HASH_LEN) };
        let mut bytes = [0; MAX_HASH_LEN];
        let (head, _) = bytes.split_at_mut(N);
        head.copy_from_slice(&array);
        Self { bytes, len: N as u8 }
    }

    /// All zeros, as long as the hash: the salt and the input where there is none (section 7.1).
    pub(crate) const fn zeros(algorithm: HashAlgorithm) -> Self {
        Self {
            bytes: [0; MAX_HASH_LEN],
            len: algorithm.len() as u8,
        }
    }

    /// The first [`MAX_HASH_LEN`] bytes; callers know that there are no more.
    fn copy_of(slice: &[u8]) -> Self {
        let mut bytes = [0; MAX_HASH_LEN];
        bytes.iter_mut().zip(slice).for_each(|(to, from)| *to = *from);
        Self {
            bytes,
            len: slice.len().min(MAX_HASH_LEN) as u8,
        }
    }

    /// The bytes, for deriving from them, for tickets and for the key log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }

    /// The bytes to be filled by an expansion.
    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        let len = usize::from(self.len).min(MAX_HASH_LEN);
        self.bytes.split_at_mut(len).0
    }

    /// Whether both are equal, in constant time.
    #[cfg(test)]
    pub(crate) fn constant_time_eq(&self, other: &Self) -> bool {
        super::constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// HKDF-Extract (RFC 5869 2.2).
pub(crate) fn extract(algorithm: HashAlgorithm, salt: &[u8], input: &[u8]) -> Secret {
    Secret::copy_of(hmac::sign(&hmac::Key::new(algorithm.hmac(), salt), input).as_ref())
}

/// HMAC of `data`.
pub(crate) fn hmac(algorithm: HashAlgorithm, key: &[u8], data: &[u8]) -> HashValue {
    HashValue::from_slice(hmac::sign(&hmac::Key::new(algorithm.hmac(), key), data).as_ref())
}

/// Whether `tag` is the HMAC of `data`, in constant time.
pub(crate) fn hmac_verify(algorithm: HashAlgorithm, key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(algorithm.hmac(), key), data, tag).is_ok()
}

/// A label of section 7.1 without its prefix, checked when compiled: so that deriving with it cannot fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(&'static [u8]);

impl Label {
    pub(crate) const fn new(label: &'static str) -> Self {
        assert!(label.len() <= MAX_FIXED_LABEL_LEN, "the label is too long");
        Self(label.as_bytes())
    }
}

/// All that is derived from one secret, for the price of one key setup.
///
/// It is 1,232 bytes and lives on the stack: make it, derive, and drop it in one block, never across an await.
pub(crate) struct Expander {
    key: hmac::Key,
    algorithm: HashAlgorithm,
}

impl Expander {
    pub(crate) fn new(algorithm: HashAlgorithm, secret: &Secret) -> Self {
        Self {
            key: hmac::Key::new(algorithm.hmac(), secret.as_bytes()),
            algorithm,
        }
    }

    /// Derive-Secret (section 7.1), given the transcript hash.
    pub(crate) fn secret(&self, label: Label, transcript_hash: &HashValue) -> Secret {
        let mut info = Info::new();
        info.put_label(self.algorithm.len(), label.0, transcript_hash.as_bytes());
        Secret::copy_of(self.block(&mut info).as_ref())
    }

    /// HKDF-Expand-Label without context, of at most one hash: traffic keys, IVs and Finished keys.
    pub(crate) fn short(&self, label: Label, out: &mut [u8]) {
        debug_assert!(out.len() <= self.algorithm.len());
        let mut info = Info::new();
        info.put_label(out.len(), label.0, &[]);
        out.iter_mut()
            .zip(self.block(&mut info).as_ref())
            .for_each(|(to, from)| *to = *from);
    }

    /// HKDF-Expand-Label without context, as a secret as long as the hash.
    pub(crate) fn short_secret(&self, label: Label) -> Secret {
        let mut info = Info::new();
        info.put_label(self.algorithm.len(), label.0, &[]);
        Secret::copy_of(self.block(&mut info).as_ref())
    }

    /// HKDF-Expand-Label (section 7.1) with any label (without its prefix), context and length.
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`] if the label is longer than [`MAX_LABEL_LEN`], the context longer than 255 bytes, or
    /// the output longer than 255 hashes.
    pub(crate) fn expand_label(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), Error> {
        if label.len() > MAX_LABEL_LEN || context.len() > 255 {
            return Err(Misuse::ExporterRange.into());
        }
        let mut info = Info::<MAX_INFO_LEN>::new();
        info.put_label(out.len(), label, context);
        self.expand(info.as_bytes(), out)
    }

    /// HKDF-Expand (RFC 5869 2.3).
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`] if the output is longer than 255 hashes.
    fn expand(&self, info: &[u8], out: &mut [u8]) -> Result<(), Error> {
        if out.len() > MAX_BLOCKS.saturating_mul(self.algorithm.len()) {
            return Err(Misuse::ExporterRange.into());
        }
        let mut previous: Option<hmac::Tag> = None;
        for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(self.algorithm.len())) {
            let mut context = hmac::Context::with_key(&self.key);
            if let Some(previous) = &previous {
                context.update(previous.as_ref());
            }
            context.update(info);
            context.update(&[counter]);
            let block = context.sign();
            chunk
                .iter_mut()
                .zip(block.as_ref())
                .for_each(|(to, from)| *to = *from);
            previous = Some(block);
        }
        Ok(())
    }

    /// The first block of HKDF-Expand, which is all of it for outputs of at most one hash.
    fn block(&self, info: &mut Info<FIXED_INFO_LEN>) -> hmac::Tag {
        info.put(&[1]);
        hmac::sign(&self.key, info.as_bytes())
    }
}

/// An HkdfLabel on the stack, so that each output is one HMAC over one slice.
struct Info<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Info<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// The lengths fit: labels and contexts are checked before, outputs are at most 255 * 48 bytes.
    fn put_label(&mut self, out_len: usize, label: &[u8], context: &[u8]) {
        self.put(&(out_len as u16).to_be_bytes());
        self.put(&[(LABEL_PREFIX.len() + label.len()) as u8]);
        self.put(LABEL_PREFIX);
        self.put(label);
        self.put(&[context.len() as u8]);
        self.put(context);
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        debug_assert!(end <= self.bytes.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::test_vectors::hex;

    #[test]
    fn the_basic_vector_of_rfc_5869_holds() {
        let input = [0x0b; 22];
        let secret = extract(HashAlgorithm::Sha256, &hex("000102030405060708090a0b0c"), &input);
        assert_eq!(
            secret.as_bytes(),
            hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        );
        let mut out = [0; 42];
        Expander::new(HashAlgorithm::Sha256, &secret)
            .expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut out)
            .unwrap();
        assert_eq!(
            out[..],
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        );
    }

    #[test]
    fn the_long_vector_of_rfc_5869_holds() {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let secret = extract(HashAlgorithm::Sha256, &range(0x60, 0xaf), &range(0, 0x4f));
        assert_eq!(
            secret.as_bytes(),
            hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244")
        );
        let mut out = [0; 82];
        Expander::new(HashAlgorithm::Sha256, &secret)
            .expand(&range(0xb0, 0xff), &mut out)
            .unwrap();
        assert_eq!(
            out[..],
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
                 59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
                 cc30c58179ec3e87c14c01d5c1f3434f1d87")
        );
    }

    #[test]
    fn the_vector_of_rfc_5869_without_salt_and_info_holds() {
        let secret = extract(HashAlgorithm::Sha256, &[], &[0x0b; 22]);
        assert_eq!(
            secret.as_bytes(),
            hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
        );
        let mut out = [0; 42];
        Expander::new(HashAlgorithm::Sha256, &secret)
            .expand(&[], &mut out)
            .unwrap();
        assert_eq!(
            out[..],
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        );
    }

    #[test]
    fn the_short_forms_give_what_the_general_one_gives() {
        const LABEL: Label = Label::new("quic ku");
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let expander = Expander::new(algorithm, &Secret::zeros(algorithm));
            let context = algorithm.of_empty();
            let mut general = vec![0; algorithm.len()];
            expander
                .expand_label(LABEL.0, context.as_bytes(), &mut general)
                .unwrap();
            assert_eq!(expander.secret(LABEL, context).as_bytes(), general);
            expander.expand_label(LABEL.0, &[], &mut general).unwrap();
            assert_eq!(expander.short_secret(LABEL).as_bytes(), general);
            let (mut short, mut general) = ([0; 12], [0; 12]);
            expander.short(LABEL, &mut short);
            expander.expand_label(LABEL.0, &[], &mut general).unwrap();
            assert_eq!(short, general);
        }
    }

    #[test]
    fn the_longest_label_and_output_are_accepted_and_one_byte_more_is_refused() {
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let expander = Expander::new(algorithm, &Secret::zeros(algorithm));
            let mut out = vec![0; 255 * algorithm.len() + 1];
            let (_, longest) = out.split_last_mut().unwrap();
            expander
                .expand_label(&[b'x'; MAX_LABEL_LEN], &[7; 255], longest)
                .unwrap();
            assert!(
                longest.iter().rev().take(16).any(|byte| *byte != 0),
                "the last block was filled"
            );
            let refused = [
                expander.expand_label(b"x", &[], &mut out),
                expander.expand_label(&[b'x'; MAX_LABEL_LEN + 1], &[], &mut [0]),
                expander.expand_label(b"x", &[7; 256], &mut [0]),
            ];
            for result in refused {
                assert!(matches!(
                    result.unwrap_err().kind(),
                    ErrorKind::Misuse(Misuse::ExporterRange)
                ));
            }
        }
    }

    #[test]
    fn a_tag_verifies_only_for_its_key_and_data() {
        let tag = hmac(HashAlgorithm::Sha384, b"key", b"data");
        assert!(hmac_verify(
            HashAlgorithm::Sha384,
            b"key",
            b"data",
            tag.as_bytes()
        ));
        assert!(!hmac_verify(
            HashAlgorithm::Sha384,
            b"key",
            b"date",
            tag.as_bytes()
        ));
        assert!(!hmac_verify(
            HashAlgorithm::Sha384,
            b"kez",
            b"data",
            tag.as_bytes()
        ));
        assert!(!hmac_verify(
            HashAlgorithm::Sha384,
            b"key",
            b"data",
            &tag.as_bytes()[..47]
        ));
    }

    #[test]
    fn a_secret_is_not_shown_and_has_an_upper_bound() {
        let secret = Secret::from_slice(&[0xab; 48]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert!(secret.constant_time_eq(&Secret::from_slice(secret.as_bytes()).unwrap()));
        assert!(!secret.constant_time_eq(&Secret::zeros(HashAlgorithm::Sha384)));
        assert!(Secret::from_slice(&[0; 49]).is_none());
    }
}
