//! Records of TLS 1.2 sealed and opened (RFC 5246 6.2.3.3; RFC 5288 and RFC 7905): the content type stays outside, and
//! with AES-GCM the record begins with a part of its nonce.

use core::ops::Range;

use super::MAX_FRAGMENT;
use super::header::{HEADER_LEN, encode};
use super::protect::{following, no_room, split_header};
use crate::crypto::aead::{EXPLICIT_NONCE_LEN, OpeningKey, SealingKey, TAG_LEN};
use crate::error::{Error, Misbehaviour};
use crate::registry::{ContentType, ProtocolVersion};

/// Bytes of the additional data: sequence number, type, version and length of the content.
const AAD_LEN: usize = 13;

/// How records are read.
pub(super) struct Read12 {
    key: OpeningKey,
    /// Records opened so far.
    sequence: u64,
    /// Bytes of each nonce that the record carries.
    explicit: usize,
}

impl Read12 {
    pub(super) fn new(key: OpeningKey) -> Self {
        let explicit = key.explicit_nonce_len();
        Self {
            key,
            sequence: 0,
            explicit,
        }
    }

    /// Bytes in a body that are not content.
    pub(super) const fn overhead(&self) -> usize {
        self.explicit + TAG_LEN
    }

    /// Opens the body of a record in place, and says where in it the content lies.
    pub(super) fn open_in_place(
        &mut self,
        header: [u8; HEADER_LEN],
        body: &mut [u8],
    ) -> Result<Range<usize>, Error> {
        let (next, aad) = self.begin(header, body.len())?;
        let counter = self.counter(body);
        let sealed = body.get_mut(self.explicit..).unwrap_or_default();
        let len = self.key.open_in_place(counter, &aad, sealed)?.len();
        self.finish(next, len)?;
        Ok(self.explicit..self.explicit + len)
    }

    /// Opens the body of a record into `out`, which has the length of the content.
    pub(super) fn open_into(
        &mut self,
        header: [u8; HEADER_LEN],
        body: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let (next, aad) = self.begin(header, body.len())?;
        let sealed = body.get(self.explicit..).unwrap_or_default();
        self.key.open_into(self.counter(body), &aad, sealed, out)?;
        self.finish(next, out.len())
    }

    /// The next sequence number and the additional data, which has the length of the content.
    fn begin(&self, header: [u8; HEADER_LEN], body_len: usize) -> Result<(u64, [u8; AAD_LEN]), Error> {
        let content_len = body_len
            .checked_sub(self.overhead())
            .ok_or(Misbehaviour::BadRecordMac)?;
        let next = following(self.sequence)?;
        let [content_type, ..] = header;
        Ok((
            next,
            additional_data(self.sequence, ContentType(content_type), content_len),
        ))
    }

    /// What the peer chose for the nonce, or the sequence number.
    fn counter(&self, body: &[u8]) -> u64 {
        match body.first_chunk::<EXPLICIT_NONCE_LEN>() {
            Some(explicit) if self.explicit > 0 => u64::from_be_bytes(*explicit),
            _ => self.sequence,
        }
    }

    fn finish(&mut self, next: u64, content_len: usize) -> Result<(), Error> {
        self.sequence = next;
        if content_len > MAX_FRAGMENT {
            return Err(Misbehaviour::RecordOverflow.into());
        }
        Ok(())
    }
}

/// How records are written. The sequence number is the explicit nonce: it never repeats (RFC 5288 3).
pub(super) struct Write12 {
    key: SealingKey,
    /// Records sealed so far.
    sequence: u64,
    /// Bytes of each nonce that the record carries.
    explicit: usize,
    /// Records that the key may seal.
    limit: u64,
}

impl Write12 {
    pub(super) const fn new(key: SealingKey, limit: u64) -> Self {
        let explicit = key.explicit_nonce_len();
        Self {
            key,
            sequence: 0,
            explicit,
            limit,
        }
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes before the content of a record.
    pub(super) const fn content_at(&self) -> usize {
        HEADER_LEN + self.explicit
    }

    /// Seals content from elsewhere into `out`, which has room for it, for what comes before it and for the tag.
    pub(super) fn seal(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        if !self.key.prefers_out_of_place(content.len()) {
            out.get_mut(self.content_at()..)
                .and_then(|to| to.get_mut(..content.len()))
                .ok_or_else(no_room)?
                .copy_from_slice(content);
            return self.seal_in_place(content_type, out);
        }
        let (next, aad) = self.begin(content_type, content.len())?;
        let sealed = self.put_header(content_type, out)?;
        self.key.seal(aad.0, &aad.1, content, &[], sealed)?;
        self.sequence = next;
        Ok(())
    }

    /// Makes a record of `out`, in which the content lies between [`Self::content_at`] and the tag.
    pub(super) fn seal_in_place(&mut self, content_type: ContentType, out: &mut [u8]) -> Result<(), Error> {
        let content_len = out
            .len()
            .checked_sub(self.content_at() + TAG_LEN)
            .ok_or_else(no_room)?;
        let (next, aad) = self.begin(content_type, content_len)?;
        let sealed = self.put_header(content_type, out)?;
        self.key.seal_in_place(aad.0, &aad.1, sealed)?;
        self.sequence = next;
        Ok(())
    }

    /// The next sequence number; and this one, with the additional data made of it.
    fn begin(
        &self,
        content_type: ContentType,
        content_len: usize,
    ) -> Result<(u64, (u64, [u8; AAD_LEN])), Error> {
        let next = following(self.sequence)?;
        let aad = additional_data(self.sequence, content_type, content_len);
        Ok((next, (self.sequence, aad)))
    }

    /// Writes header and explicit nonce, and returns what follows them.
    fn put_header<'a>(&self, content_type: ContentType, out: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let (header, body) = split_header(out)?;
        *header = encode(content_type, ProtocolVersion::TLS12, body.len());
        let (explicit, sealed) = body.split_at_mut_checked(self.explicit).ok_or_else(no_room)?;
        explicit
            .iter_mut()
            .zip(self.sequence.to_be_bytes())
            .for_each(|(to, from)| *to = from);
        Ok(sealed)
    }
}

/// RFC 5246 6.2.3.3.
fn additional_data(sequence: u64, content_type: ContentType, content_len: usize) -> [u8; AAD_LEN] {
    let [a, b, c, d, e, f, g, h] = sequence.to_be_bytes();
    let [major, minor] = ProtocolVersion::TLS12.0.to_be_bytes();
    // A record's length has two bytes.
    let [high, low] = u16::try_from(content_len).unwrap_or(u16::MAX).to_be_bytes();
    [a, b, c, d, e, f, g, h, content_type.0, major, minor, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::aead::AeadAlgorithm;
    use crate::error::ErrorKind;

    const ALL: [AeadAlgorithm; 3] = [
        AeadAlgorithm::Aes128Gcm,
        AeadAlgorithm::Aes256Gcm,
        AeadAlgorithm::ChaCha20Poly1305,
    ];
    const DATA: ContentType = ContentType::APPLICATION_DATA;

    fn iv(algorithm: AeadAlgorithm) -> [u8; 12] {
        if algorithm.explicit_nonce_len() > 0 {
            [4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0]
        } else {
            [4; 12]
        }
    }

    fn writer(algorithm: AeadAlgorithm) -> Write12 {
        let key = vec![3; algorithm.key_len()];
        Write12::new(
            SealingKey::tls12(algorithm, &key, iv(algorithm)).unwrap(),
            u64::MAX,
        )
    }

    fn reader(algorithm: AeadAlgorithm) -> Read12 {
        let key = vec![3; algorithm.key_len()];
        Read12::new(OpeningKey::new(algorithm, &key, iv(algorithm)).unwrap())
    }

    fn record(writer: &mut Write12, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0xaa; writer.content_at() + content.len() + TAG_LEN];
        writer.seal(DATA, content, &mut out).unwrap();
        out
    }

    fn open(reader: &mut Read12, record: &[u8]) -> Result<Vec<u8>, Misbehaviour> {
        let (header, body) = record.split_first_chunk::<HEADER_LEN>().unwrap();
        let mut copy = body.to_vec();
        match reader.open_in_place(*header, &mut copy) {
            Ok(range) => Ok(copy[range].to_vec()),
            Err(error) => match error.into_kind() {
                ErrorKind::Misbehaved(misbehaviour) => Err(misbehaviour),
                other => panic!("{other}"),
            },
        }
    }

    #[test]
    fn both_ways_to_seal_and_to_open_agree() {
        for algorithm in ALL {
            let (mut one, mut other) = (writer(algorithm), writer(algorithm));
            let (mut in_place, mut into) = (reader(algorithm), reader(algorithm));
            for len in [0, 1, 100, MAX_FRAGMENT] {
                let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let sealed = record(&mut one, &content);
                let mut copied = vec![0; sealed.len()];
                let at = other.content_at();
                copied[at..at + len].copy_from_slice(&content);
                other.seal_in_place(DATA, &mut copied).unwrap();
                assert_eq!(sealed, copied, "{algorithm:?} {len}");

                assert_eq!(open(&mut in_place, &sealed), Ok(content.clone()));
                let (header, body) = sealed.split_first_chunk::<HEADER_LEN>().unwrap();
                let mut out = vec![0; len];
                into.open_into(*header, body, &mut out).unwrap();
                assert_eq!(out, content);
            }
        }
    }

    #[test]
    fn with_gcm_a_record_carries_its_number_and_with_chacha_nothing() {
        for algorithm in ALL {
            let mut writer = writer(algorithm);
            record(&mut writer, b"first");
            let sealed = record(&mut writer, b"abc");
            let explicit = algorithm.explicit_nonce_len();
            assert_eq!(sealed[..5], [23, 3, 3, 0, (explicit + 3 + TAG_LEN) as u8]);
            assert_eq!(sealed[5..5 + explicit], [0, 0, 0, 0, 0, 0, 0, 1][..explicit]);
        }
    }

    #[test]
    fn a_record_is_the_aead_of_the_rfc() {
        // The nonce by hand: salt and explicit nonce; the additional data by hand too.
        let algorithm = AeadAlgorithm::Aes128Gcm;
        let sealed = record(&mut writer(algorithm), b"abc");
        let key = OpeningKey::new(algorithm, &[3; 16], iv(algorithm)).unwrap();
        let aad = [0, 0, 0, 0, 0, 0, 0, 0, 23, 3, 3, 0, 3];
        let mut body = sealed[5 + 8..].to_vec();
        assert_eq!(key.open_in_place(0, &aad, &mut body).unwrap(), b"abc");
    }

    #[test]
    fn a_peer_may_choose_its_explicit_nonces() {
        let algorithm = AeadAlgorithm::Aes256Gcm;
        let mut key = SealingKey::tls12(algorithm, &[3; 32], iv(algorithm)).unwrap();
        let mut reader = reader(algorithm);
        for (sequence, nonce) in [77, 1u64 << 40].into_iter().enumerate() {
            let aad = additional_data(sequence as u64, DATA, 3);
            let mut record = encode(DATA, ProtocolVersion::TLS12, 8 + 3 + TAG_LEN).to_vec();
            record.extend(nonce.to_be_bytes());
            record.resize(5 + 8 + 3 + TAG_LEN, 0);
            key.seal(nonce, &aad, b"abc", &[], &mut record[13..]).unwrap();
            assert_eq!(open(&mut reader, &record), Ok(b"abc".to_vec()));
        }
    }

    #[test]
    fn flipped_bits_and_short_or_repeated_records_are_a_bad_mac() {
        for algorithm in ALL {
            let sealed = record(&mut writer(algorithm), b"abc");
            // Version and length are for others to check.
            for at in (0..sealed.len()).filter(|at| !(1..5).contains(at)) {
                let mut copy = sealed.clone();
                copy[at] ^= 1;
                assert_eq!(
                    open(&mut reader(algorithm), &copy),
                    Err(Misbehaviour::BadRecordMac)
                );
            }
            for len in HEADER_LEN..sealed.len() {
                assert_eq!(
                    open(&mut reader(algorithm), &sealed[..len]),
                    Err(Misbehaviour::BadRecordMac)
                );
            }
            let mut reader = reader(algorithm);
            open(&mut reader, &sealed).unwrap();
            assert_eq!(open(&mut reader, &sealed), Err(Misbehaviour::BadRecordMac));
        }
    }

    #[test]
    fn content_may_not_be_longer_than_a_fragment() {
        for algorithm in ALL {
            let content = vec![0; MAX_FRAGMENT + 1];
            let sealed = record(&mut writer(algorithm), &content);
            assert_eq!(
                open(&mut reader(algorithm), &sealed),
                Err(Misbehaviour::RecordOverflow)
            );
        }
    }
}
