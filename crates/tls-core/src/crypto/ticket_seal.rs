//! AES-256-GCM-SIV (RFC 8452): safe with random nonces for as long as a fleet shares a key, since a nonce that
//! happens twice shows no more than whether the plaintexts are equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE_LEN: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 16;

fn key(secret: &[u8; KEY_LEN]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM_SIV, secret)
        .ok()
        .map(LessSafeKey::new)
}

/// Encrypts `text` where it stands and returns its tag. `None` if the library refuses.
pub(crate) fn seal_in_place(
    secret: &[u8; KEY_LEN],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    text: &mut [u8],
) -> Option<[u8; TAG_LEN]> {
    let tag = key(secret)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
        .ok()?;
    tag.as_ref().try_into().ok()
}

/// Decrypts ciphertext followed by its tag. `None` if anything was changed.
pub(crate) fn open(
    secret: &[u8; KEY_LEN],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(sealed.to_vec());
    let len = key(secret)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text)
        .ok()?
        .len();
    text.truncate(len);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_that_of_rfc_8452() {
        // The first test case of appendix C.2 with a plaintext.
        let mut secret = [0; KEY_LEN];
        secret[0] = 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[0] = 3;
        let mut text = [1, 0, 0, 0, 0, 0, 0, 0];
        let tag = seal_in_place(&secret, nonce, &[], &mut text).unwrap();
        assert_eq!(text, [0xc2, 0xef, 0x32, 0x8e, 0x5c, 0x71, 0xc8, 0x3b]);
        assert_eq!(
            tag,
            [
                0x84, 0x31, 0x22, 0x13, 0x0f, 0x73, 0x64, 0xb7, 0x61, 0xe0, 0xb9, 0x74, 0x27, 0xe3, 0xdf,
                0x28
            ]
        );
        let sealed = [&text[..], &tag].concat();
        assert_eq!(
            *open(&secret, nonce, &[], &sealed).unwrap(),
            [1, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
