//! Record protection with an AEAD (section 5.2): keys that seal and open one record at a time.
//!
//! The nonce is `iv XOR counter` (section 5.3). The same form serves TLS 1.2: with AES-GCM the IV is the salt
//! followed by eight zero bytes and the counter is the explicit nonce, which stands before the ciphertext (RFC 5288);
//! with ChaCha20-Poly1305 it is that of TLS 1.3 (RFC 7905). The caller gives the additional data, and a content type to be encrypted or none.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, TlsProtocolId, TlsRecordSealingKey, UnboundKey};
use zeroize::Zeroize;

use crate::error::{Error, ErrorKind, Misbehaviour};

/// Bytes of the authentication tag; the same for all algorithms here.
pub(crate) const TAG_LEN: usize = 16;

/// Bytes of an IV and of a nonce; the same for all algorithms here.
pub(crate) const IV_LEN: usize = 12;

/// Bytes of the nonce that a record of TLS 1.2 carries with AES-GCM (RFC 5288 3).
pub(crate) const EXPLICIT_NONCE_LEN: usize = 8;

/// From this many bytes of content on, ChaCha20-Poly1305 seals faster out of place than by copying and sealing in
/// place: its extra input for the content type costs about 200 ns.
const CHACHA_OUT_OF_PLACE: usize = 12 * 1024;

/// An AEAD that may protect records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AeadAlgorithm {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl AeadAlgorithm {
    /// Bytes of a key.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of each nonce that a record of TLS 1.2 carries: 8 with AES-GCM (RFC 5288 3), none with
    /// ChaCha20-Poly1305 (RFC 7905 2).
    pub(crate) const fn explicit_nonce_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => EXPLICIT_NONCE_LEN,
            Self::ChaCha20Poly1305 => 0,
        }
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    fn unbound(self, key: &[u8]) -> Result<LessSafeKey, Error> {
        UnboundKey::new(self.algorithm(), key)
            .map(LessSafeKey::new)
            .map_err(|_| failed("AEAD key"))
    }
}

/// The key of one direction and epoch, for sealing. Counters must rise by one from 0.
pub(crate) struct SealingKey {
    sealer: Sealer,
    iv: Iv,
}

/// AES-GCM through the type that refuses to use a nonce twice; there is none for ChaCha20-Poly1305.
enum Sealer {
    Aes(TlsRecordSealingKey),
    ChaCha(LessSafeKey),
}

impl SealingKey {
    /// A key for TLS 1.3. `key` must have [`AeadAlgorithm::key_len`] bytes.
    pub(crate) fn new(algorithm: AeadAlgorithm, key: &[u8], iv: [u8; IV_LEN]) -> Result<Self, Error> {
        Self::for_protocol(TlsProtocolId::TLS13, algorithm, key, iv)
    }

    /// A key for TLS 1.2. With AES-GCM, `iv` is the salt and eight zero bytes.
    pub(crate) fn tls12(algorithm: AeadAlgorithm, key: &[u8], iv: [u8; IV_LEN]) -> Result<Self, Error> {
        Self::for_protocol(TlsProtocolId::TLS12, algorithm, key, iv)
    }

    fn for_protocol(
        protocol: TlsProtocolId,
        algorithm: AeadAlgorithm,
        key: &[u8],
        iv: [u8; IV_LEN],
    ) -> Result<Self, Error> {
        let sealer = match algorithm {
            AeadAlgorithm::ChaCha20Poly1305 => Sealer::ChaCha(algorithm.unbound(key)?),
            AeadAlgorithm::Aes128Gcm | AeadAlgorithm::Aes256Gcm => Sealer::Aes(
                TlsRecordSealingKey::new(algorithm.algorithm(), protocol, key)
                    .map_err(|_| failed("AEAD key"))?,
            ),
        };
        Ok(Self {
            sealer,
            iv: Iv::new(iv),
        })
    }

    /// Bytes of each nonce that a record carries in TLS 1.2.
    pub(crate) const fn explicit_nonce_len(&self) -> usize {
        match self.sealer {
            Sealer::Aes(_) => EXPLICIT_NONCE_LEN,
            Sealer::ChaCha(_) => 0,
        }
    }

    /// Whether [`Self::seal`] is the faster way for content of this length, rather than copying it to its place
    /// and calling [`Self::seal_in_place`].
    pub(crate) const fn prefers_out_of_place(&self, content_len: usize) -> bool {
        match self.sealer {
            Sealer::Aes(_) => true,
            Sealer::ChaCha(_) => content_len >= CHACHA_OUT_OF_PLACE,
        }
    }

    /// Encrypts `content` followed by `trailer` (the content type, or nothing) into `out`, whose length must be
    /// that of both and of the tag.
    pub(crate) fn seal(
        &mut self,
        counter: u64,
        aad: &[u8],
        content: &[u8],
        trailer: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let nonce = self.iv.nonce(counter);
        let (text, rest) = out
            .split_at_mut_checked(content.len())
            .ok_or_else(|| failed("seal"))?;
        match &mut self.sealer {
            Sealer::Aes(key) => {
                key.seal_out_of_place_scatter(nonce, Aad::from(aad), content, text, trailer, rest)
            }
            Sealer::ChaCha(key) => {
                key.seal_out_of_place_scatter(nonce, Aad::from(aad), content, text, trailer, rest)
            }
        }
        .map_err(|_| failed("seal"))
    }

    /// Encrypts all of `in_out` but its last [`TAG_LEN`] bytes, which receive the tag.
    pub(crate) fn seal_in_place(&mut self, counter: u64, aad: &[u8], in_out: &mut [u8]) -> Result<(), Error> {
        let nonce = self.iv.nonce(counter);
        let (text, tag_out) = in_out
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or_else(|| failed("seal"))?;
        let tag = match &mut self.sealer {
            Sealer::Aes(key) => key.seal_in_place_separate_tag(nonce, Aad::from(aad), text),
            Sealer::ChaCha(key) => key.seal_in_place_separate_tag(nonce, Aad::from(aad), text),
        }
        .map_err(|_| failed("seal"))?;
        for (to, from) in tag_out.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Ok(())
    }
}

/// The key of one direction and epoch, for opening.
pub(crate) struct OpeningKey {
    key: LessSafeKey,
    iv: Iv,
}

impl OpeningKey {
    /// `key` must have [`AeadAlgorithm::key_len`] bytes.
    pub(crate) fn new(algorithm: AeadAlgorithm, key: &[u8], iv: [u8; IV_LEN]) -> Result<Self, Error> {
        Ok(Self {
            key: algorithm.unbound(key)?,
            iv: Iv::new(iv),
        })
    }

    /// Bytes of each nonce that a record carries in TLS 1.2.
    pub(crate) fn explicit_nonce_len(&self) -> usize {
        if self.key.algorithm() == &aead::CHACHA20_POLY1305 {
            0
        } else {
            EXPLICIT_NONCE_LEN
        }
    }

    /// Decrypts ciphertext and tag where they stand, and returns the plaintext. On failure all of it is lost.
    pub(crate) fn open_in_place<'a>(
        &self,
        counter: u64,
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], Misbehaviour> {
        self.key
            .open_in_place(self.iv.nonce(counter), Aad::from(aad), in_out)
            .map_err(|_| Misbehaviour::BadRecordMac)
    }

    /// Decrypts `sealed` (ciphertext and tag) into `out`, whose length must be that of the ciphertext. On failure
    /// `out` is zeroed and `sealed` is untouched.
    pub(crate) fn open_into(
        &self,
        counter: u64,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), Misbehaviour> {
        let (ciphertext, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Misbehaviour::BadRecordMac)?;
        self.key
            .open_separate_gather(self.iv.nonce(counter), Aad::from(aad), ciphertext, tag, out)
            .map_err(|_| Misbehaviour::BadRecordMac)
    }
}

/// The static part of the nonces, wiped on drop.
struct Iv {
    head: [u8; 4],
    tail: u64,
}

impl Iv {
    const fn new(iv: [u8; IV_LEN]) -> Self {
        let [a, b, c, d, tail @ ..] = iv;
        Self {
            head: [a, b, c, d],
            tail: u64::from_be_bytes(tail),
        }
    }

    /// The nonce for a record (section 5.3).
    fn nonce(&self, counter: u64) -> Nonce {
        let [a, b, c, d] = self.head;
        let [e, f, g, h, i, j, k, l] = (self.tail ^ counter).to_be_bytes();
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

impl Drop for Iv {
    fn drop(&mut self) {
        self.head.zeroize();
        self.tail.zeroize();
    }
}

/// The library refused our own input: only a wrong length can do that.
fn failed(what: &'static str) -> Error {
    Error::new(ErrorKind::Crypto(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [AeadAlgorithm; 3] = [
        AeadAlgorithm::Aes128Gcm,
        AeadAlgorithm::Aes256Gcm,
        AeadAlgorithm::ChaCha20Poly1305,
    ];

    fn pair(algorithm: AeadAlgorithm) -> (SealingKey, OpeningKey) {
        let key = vec![7; algorithm.key_len()];
        (
            SealingKey::new(algorithm, &key, [9; IV_LEN]).unwrap(),
            OpeningKey::new(algorithm, &key, [9; IV_LEN]).unwrap(),
        )
    }

    #[test]
    fn both_ways_to_seal_and_to_open_agree() {
        for algorithm in ALL {
            let (mut out_of_place, opening) = pair(algorithm);
            let (mut in_place, _) = pair(algorithm);
            for (counter, len) in [0, 1, 100, 16_384].into_iter().enumerate() {
                let counter = counter as u64;
                let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut sealed = vec![0; len + 1 + TAG_LEN];
                out_of_place
                    .seal(counter, b"aad", &content, &[23], &mut sealed)
                    .unwrap();
                let mut other = content.clone();
                other.push(23);
                let plaintext = other.clone();
                other.resize(len + 1 + TAG_LEN, 0);
                in_place.seal_in_place(counter, b"aad", &mut other).unwrap();
                assert_eq!(sealed, other, "{algorithm:?} {len}");

                let mut separate = vec![0; len + 1];
                opening
                    .open_into(counter, b"aad", &sealed, &mut separate)
                    .unwrap();
                assert_eq!(separate, plaintext);
                assert_eq!(
                    opening.open_in_place(counter, b"aad", &mut sealed).unwrap(),
                    plaintext
                );
            }
        }
    }

    #[test]
    fn a_changed_bit_counter_or_aad_does_not_open() {
        for algorithm in ALL {
            let (mut sealing, opening) = pair(algorithm);
            let mut sealed = [0; 3 + TAG_LEN];
            sealing.seal(0, b"aad", b"abc", &[], &mut sealed).unwrap();
            for (counter, aad, flip) in [(1, &b"aad"[..], 0), (0, b"aae", 0), (0, b"aad", 0x80)] {
                let mut copy = sealed;
                copy[0] ^= flip;
                assert_eq!(
                    opening.open_in_place(counter, aad, &mut copy),
                    Err(Misbehaviour::BadRecordMac)
                );
            }
            assert_eq!(opening.open_in_place(0, b"aad", &mut sealed).unwrap(), b"abc");
        }
    }

    #[test]
    fn a_tls12_key_seals_what_an_opening_key_opens_and_uses_no_nonce_twice() {
        for algorithm in ALL {
            let key = vec![7; algorithm.key_len()];
            let iv = [9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0];
            let mut sealing = SealingKey::tls12(algorithm, &key, iv).unwrap();
            let opening = OpeningKey::new(algorithm, &key, iv).unwrap();
            assert_eq!(sealing.explicit_nonce_len(), algorithm.explicit_nonce_len());
            assert_eq!(opening.explicit_nonce_len(), algorithm.explicit_nonce_len());
            for counter in 0..3 {
                let mut sealed = [0; 3 + TAG_LEN];
                sealing.seal(counter, b"aad", b"abc", &[], &mut sealed).unwrap();
                assert_eq!(
                    opening.open_in_place(counter, b"aad", &mut sealed).unwrap(),
                    b"abc"
                );
            }
            let again = sealing.seal(1, b"aad", b"abc", &[], &mut [0; 3 + TAG_LEN]);
            assert_eq!(
                again.is_err(),
                algorithm.explicit_nonce_len() > 0,
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        for algorithm in ALL {
            let key = vec![7; algorithm.key_len() - 1];
            assert!(SealingKey::new(algorithm, &key, [0; IV_LEN]).is_err());
            assert!(OpeningKey::new(algorithm, &key, [0; IV_LEN]).is_err());
        }
    }

    #[test]
    fn the_nonce_is_the_iv_xor_the_counter() {
        let iv = Iv::new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(
            iv.nonce(0x0100_0000_0000_00ff).as_ref(),
            &[1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11, 12 ^ 0xff]
        );
    }
}
