//! Keys from the secrets of a key log, and records opened with them: a second implementation, to judge the first by.

use std::fmt;

use aws_lc_rs::aead::{
    self, AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::digest::{SHA256, SHA384, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384};

/// What a cipher suite means for keys.
///
/// Example: that of [`Opener`].
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    aead: &'static aead::Algorithm,
    hash: hmac::Algorithm,
    is_tls13: bool,
}

impl Suite {
    /// `None` for suites that the library does not have.
    #[must_use]
    pub fn new(code: u16) -> Option<Self> {
        let (aead, hash): (&aead::Algorithm, _) = match code {
            0x1301 | 0xc02b | 0xc02f => (&AES_128_GCM, HMAC_SHA256),
            0x1302 | 0xc02c | 0xc030 => (&AES_256_GCM, HMAC_SHA384),
            0x1303 | 0xcca8 | 0xcca9 => (&CHACHA20_POLY1305, HMAC_SHA256),
            _ => return None,
        };
        let is_tls13 = code >> 8 == 0x13;
        Some(Self { aead, hash, is_tls13 })
    }

    fn is_chacha(&self) -> bool {
        *self.aead == CHACHA20_POLY1305
    }
}

/// One key of one direction, with the number of the record that it opens or seals next.
///
/// ```
/// use tls_transcript::keys::{Opener, Suite};
///
/// let suite = Suite::new(0x1301).unwrap();
/// let opener = Opener::tls13(suite, &[7; 32]).unwrap();
/// assert!(opener.updated().is_some());
/// ```
pub struct Opener {
    suite: Suite,
    key: LessSafeKey,
    iv: Vec<u8>,
    next: u64,
    /// Of TLS 1.3.
    secret: Vec<u8>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("suite", &self.suite)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Opener {
    /// From a traffic secret of TLS 1.3 (section 7.3). `None` for one that has not the length of the suite's hash.
    #[must_use]
    pub fn tls13(suite: Suite, secret: &[u8]) -> Option<Self> {
        let key = expand_label(suite.hash, secret, "key", suite.aead.key_len());
        let iv = expand_label(suite.hash, secret, "iv", NONCE_LEN);
        Self::new(suite, &key, iv, secret)
    }

    /// The key after this one (section 7.2).
    #[must_use]
    pub fn updated(&self) -> Option<Self> {
        let suite = self.suite;
        let next = expand_label(suite.hash, &self.secret, "traffic upd", self.secret.len());
        suite.is_tls13.then(|| Self::tls13(suite, &next)).flatten()
    }

    /// Those of client and server from the main secret of TLS 1.2 (RFC 5246 6.3).
    #[must_use]
    pub fn tls12(
        suite: Suite,
        main_secret: &[u8],
        client_random: &[u8],
        server_random: &[u8],
    ) -> Option<[Self; 2]> {
        let key_len = suite.aead.key_len();
        let iv_len = if suite.is_chacha() { NONCE_LEN } else { 4 };
        let seed = [b"key expansion", server_random, client_random].concat();
        let block = p_hash(suite.hash, main_secret, &seed, 2 * (key_len + iv_len));
        let (client_key, rest) = block.split_at_checked(key_len)?;
        let (server_key, rest) = rest.split_at_checked(key_len)?;
        let (client_iv, server_iv) = rest.split_at_checked(iv_len)?;
        Some([
            Self::new(suite, client_key, client_iv.to_vec(), &[])?,
            Self::new(suite, server_key, server_iv.to_vec(), &[])?,
        ])
    }

    fn new(suite: Suite, key: &[u8], iv: Vec<u8>, secret: &[u8]) -> Option<Self> {
        Some(Self {
            suite,
            key: LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?),
            iv,
            next: 0,
            secret: secret.to_vec(),
        })
    }

    /// Opens a record, header and all; `None`, and nothing has changed, if this is not its key.
    pub fn open(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        let (header, body) = record.split_at_checked(5)?;
        let number = self.next.to_be_bytes();
        let (aad, nonce, sealed) = if self.suite.is_tls13 {
            (header.to_vec(), self.nonce(&[]), body)
        } else {
            let (explicit, sealed) = body.split_at_checked(self.explicit_len())?;
            let len = u16::try_from(sealed.len().checked_sub(TAG_LEN)?).ok()?;
            let aad = [&number, header.get(..3)?, &len.to_be_bytes()].concat();
            (aad, self.nonce(explicit), sealed)
        };
        let mut text = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(aad), &mut text);
        let len = opened.ok()?.len();
        text.truncate(len);
        self.next = self.next.checked_add(1)?;
        Some(text)
    }

    /// A record with this content, as its sender would seal it: in TLS 1.3 with so many bytes of padding. What does not
    /// fit into a record's length is sealed all the same, with a wrong length. `None` if the key has served.
    pub fn seal(&mut self, content_type: u8, content: &[u8], padding: usize) -> Option<Vec<u8>> {
        let number = self.next.to_be_bytes();
        let len16 = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let mut text = content.to_vec();
        let (mut record, aad, nonce) = if self.suite.is_tls13 {
            text.push(content_type);
            text.resize(text.len().saturating_add(padding), 0);
            let [high, low] = len16(text.len().saturating_add(TAG_LEN));
            let header = vec![23, 3, 3, high, low];
            (header.clone(), header, self.nonce(&[]))
        } else {
            let explicit = number.get(..self.explicit_len())?;
            let sealed_len = len16(explicit.len().saturating_add(text.len()).saturating_add(TAG_LEN));
            let aad = [&number[..], &[content_type, 3, 3], &len16(text.len())].concat();
            let record = [&[content_type, 3, 3], &sealed_len[..], explicit].concat();
            (record, aad, self.nonce(explicit))
        };
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(aad), &mut text)
            .ok()?;
        record.extend(text);
        self.next = self.next.checked_add(1)?;
        Some(record)
    }

    /// Bytes of the nonce that are in the record (RFC 5288 3).
    fn explicit_len(&self) -> usize {
        if self.suite.is_tls13 || self.suite.is_chacha() {
            0
        } else {
            EXPLICIT_LEN
        }
    }

    /// The nonce of the next record: what stands in it, or its number, behind or upon the fixed part.
    fn nonce(&self, explicit: &[u8]) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let number = self.next.to_be_bytes();
        let varying = if explicit.is_empty() {
            &number[..]
        } else {
            explicit
        };
        let places = nonce.iter_mut().skip(NONCE_LEN - EXPLICIT_LEN);
        places.zip(varying).for_each(|(to, from)| *to = *from);
        nonce.iter_mut().zip(&self.iv).for_each(|(to, from)| *to ^= from);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Bytes of a nonce of any AEAD here.
const NONCE_LEN: usize = 12;
/// Bytes of a nonce that are in the record, in TLS 1.2 with AES-GCM.
const EXPLICIT_LEN: usize = 8;
/// Bytes of a tag.
const TAG_LEN: usize = 16;

/// The verify_data of a Finished: from the handshake traffic secret of its sender (section 4.4.4), or from the main
/// secret of TLS 1.2 with the label of the sender (RFC 5246 7.4.9). `messages` are all before it.
#[must_use]
pub fn verify_data(suite: Suite, secret: &[u8], from_client: bool, messages: &[u8]) -> Vec<u8> {
    let is_sha256 = suite.hash == HMAC_SHA256;
    let algorithm = if is_sha256 { &SHA256 } else { &SHA384 };
    let hash = digest(algorithm, messages);
    if suite.is_tls13 {
        let len = hash.as_ref().len();
        let key = expand_label(suite.hash, secret, "finished", len);
        let key = hmac::Key::new(suite.hash, &key);
        return hmac::sign(&key, hash.as_ref()).as_ref().to_vec();
    }
    let label: &[u8] = if from_client {
        b"client finished"
    } else {
        b"server finished"
    };
    p_hash(suite.hash, secret, &[label, hash.as_ref()].concat(), 12)
}

/// What stands for the first ClientHello after a HelloRetryRequest (section 4.4.1).
#[must_use]
pub fn message_hash(suite: Suite, client_hello: &[u8]) -> Vec<u8> {
    let is_sha256 = suite.hash == HMAC_SHA256;
    let algorithm = if is_sha256 { &SHA256 } else { &SHA384 };
    let hash = digest(algorithm, client_hello);
    let len = u8::try_from(hash.as_ref().len()).unwrap_or_default();
    [&[254, 0, 0, len], hash.as_ref()].concat()
}

/// HKDF-Expand-Label without context, of at most one hash (section 7.1).
fn expand_label(hash: hmac::Algorithm, secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let mut info = u16::try_from(len).unwrap_or_default().to_be_bytes().to_vec();
    info.push(u8::try_from(label.len().saturating_add(6)).unwrap_or_default());
    info.extend([b"tls13 ", label.as_bytes(), &[0, 1]].concat());
    let made = hmac::sign(&hmac::Key::new(hash, secret), &info);
    made.as_ref().get(..len).unwrap_or_default().to_vec()
}

/// The PRF of TLS 1.2, given label and seed in one (RFC 5246 5).
fn p_hash(hash: hmac::Algorithm, secret: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
    let key = hmac::Key::new(hash, secret);
    let mut a = seed.to_vec();
    let mut made = Vec::new();
    while made.len() < len {
        a = hmac::sign(&key, &a).as_ref().to_vec();
        made.extend_from_slice(hmac::sign(&key, &[&a, seed].concat()).as_ref());
    }
    made.truncate(len);
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unhex;

    #[test]
    fn keys_of_tls13_are_those_of_rfc_8448() {
        let secret = unhex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21").unwrap();
        let expand = |label, len| crate::hex(&expand_label(HMAC_SHA256, &secret, label, len));
        assert_eq!(expand("key", 16), "dbfaa693d1762c5b666af5d950258d01");
        assert_eq!(expand("iv", 12), "5bd3c71b836e0b76bb73265f");
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_alone_and_in_order() {
        for code in [0x1301, 0x1302, 0x1303] {
            let suite = Suite::new(code).unwrap();
            let key = |byte| Opener::tls13(suite, &[byte; 48]).unwrap();
            let (mut sealer, mut opener) = (key(1), key(1));
            let records = [1, 2].map(|padding| sealer.seal(22, b"message", padding).unwrap());
            assert_eq!(records[1].len(), 5 + 7 + 1 + 2 + TAG_LEN);
            assert_eq!(opener.open(&records[1]), None);
            assert_eq!(key(2).open(&records[0]), None);
            assert_eq!(opener.open(&records[0]).unwrap(), b"message\x16\0");
            assert_eq!(opener.open(&records[1]).unwrap(), b"message\x16\0\0");
        }
        for code in [0xc02b, 0xc030, 0xcca8] {
            let keys = || Opener::tls12(Suite::new(code).unwrap(), &[1; 48], &[2; 32], &[3; 32]).unwrap();
            let ([mut sealer, _], [mut opener, mut other]) = (keys(), keys());
            let records = ["one", "two"].map(|text| sealer.seal(23, text.as_bytes(), 0).unwrap());
            assert_eq!(other.open(&records[0]), None);
            assert_eq!(opener.open(&records[1]), None);
            assert_eq!(opener.open(&records[0]).unwrap(), b"one");
            assert_eq!(opener.open(&records[1]).unwrap(), b"two");
        }
    }

    #[test]
    fn a_record_of_another_key_changes_nothing() {
        let suite = Suite::new(0x1301).unwrap();
        let mut opener = Opener::tls13(suite, &[1; 32]).unwrap();
        assert_eq!(opener.open(&[23, 3, 3, 0, 17, 0]), None);
        assert_eq!(opener.open(&[23, 3]), None);
        assert_eq!(opener.next, 0);
        assert!(Suite::new(0x0a0a).is_none());
    }
}
