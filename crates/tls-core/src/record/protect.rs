//! Records sealed and opened (section 5.2): the plaintext epoch, and keys with their sequence number.

use core::ops::Range;

use super::MAX_FRAGMENT;
use super::header::{HEADER_LEN, MAX_EXPANSION, MAX_EXPANSION12, encode};
use super::protect12::{Read12, Write12};
use crate::crypto::aead::{OpeningKey, SealingKey, TAG_LEN};
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::{ContentType, ProtocolVersion};

/// How the records that we read are protected.
///
/// There is no limit on the number of records: the confidentiality limit is the sender's to keep, and many peers
/// never update their keys; forgeries (the integrity limit) end the connection with the first one.
pub(super) enum ReadProtection {
    /// Not yet.
    Plaintext,
    /// TLS 1.3: the content type is inside (section 5.2).
    Tls13 {
        key: OpeningKey,
        /// Records opened so far.
        sequence: u64,
    },
    /// TLS 1.2: the content type is outside.
    Tls12(Read12),
}

impl ReadProtection {
    pub(super) const fn is_plaintext(&self) -> bool {
        matches!(self, Self::Plaintext)
    }

    /// Whether records are opened as TLS 1.3 does.
    #[inline]
    pub(super) const fn is_tls13(&self) -> bool {
        matches!(self, Self::Tls13 { .. })
    }

    /// Whether a record of this type is to be opened: in TLS 1.3 only that which hides its type, in TLS 1.2 any.
    #[inline]
    pub(super) fn covers(&self, content_type: ContentType) -> bool {
        match self {
            Self::Plaintext => false,
            Self::Tls13 { .. } => content_type == ContentType::APPLICATION_DATA,
            Self::Tls12(_) => true,
        }
    }

    /// The longest body that a record may have.
    #[inline]
    pub(super) const fn max_body(&self) -> usize {
        match self {
            Self::Plaintext => MAX_FRAGMENT,
            Self::Tls13 { .. } => MAX_FRAGMENT + MAX_EXPANSION,
            Self::Tls12(_) => MAX_FRAGMENT + MAX_EXPANSION12,
        }
    }

    /// Whether no record was opened since the last change of keys.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self, Self::Plaintext | Self::Tls13 { sequence: 0, .. })
    }

    /// Opens the body of a record in place: its content type, and where in it the content lies.
    #[inline]
    pub(super) fn open_in_place(
        &mut self,
        outer: ContentType,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
    ) -> Result<(ContentType, Range<usize>), Error> {
        match self {
            Self::Plaintext => Ok((outer, 0..body.len())),
            Self::Tls13 { key, sequence } => {
                let next = following(*sequence)?;
                let inner = key.open_in_place(*sequence, header, body)?;
                *sequence = next;
                strip(inner).map(|(content_type, len)| (content_type, 0..len))
            }
            Self::Tls12(read) => Ok((outer, read.open_in_place(*header, body)?)),
        }
    }

    /// The length that `out` must have for [`Self::open_into`] with a body of this length. `None` for records that
    /// hold no data, as far as their header says.
    #[inline]
    pub(super) fn inner_len(&self, outer: ContentType, body_len: usize) -> Option<usize> {
        match self {
            Self::Tls13 { .. } => body_len.checked_sub(TAG_LEN),
            Self::Tls12(read) if outer == ContentType::APPLICATION_DATA => {
                body_len.checked_sub(read.overhead())
            }
            Self::Plaintext | Self::Tls12(_) => None,
        }
    }

    /// Opens the body of a record into `out`; type and padding end up there too, behind the content.
    #[inline]
    pub(super) fn open_into(
        &mut self,
        header: &[u8; HEADER_LEN],
        body: &[u8],
        out: &mut [u8],
    ) -> Result<(ContentType, usize), Error> {
        match self {
            Self::Plaintext => Err(Error::new(ErrorKind::Crypto("no key to open with"))),
            Self::Tls13 { key, sequence } => {
                let next = following(*sequence)?;
                key.open_into(*sequence, header, body, out)?;
                *sequence = next;
                strip(out)
            }
            Self::Tls12(read) => {
                read.open_into(*header, body, out)?;
                Ok((ContentType::APPLICATION_DATA, out.len()))
            }
        }
    }
}

/// Finds the content type behind the content and before the zeros of the padding (section 5.4).
#[inline]
fn strip(inner: &[u8]) -> Result<(ContentType, usize), Error> {
    if inner.len() > MAX_FRAGMENT + 1 {
        return Err(Misbehaviour::RecordOverflow.into());
    }
    let (&last, head) = inner.split_last().ok_or(Misbehaviour::EmptyRecord)?;
    if last != 0 {
        return Ok((ContentType(last), head.len()));
    }
    let at = head
        .iter()
        .rposition(|byte| *byte != 0)
        .ok_or(Misbehaviour::EmptyRecord)?;
    let content_type = head.get(at).copied().unwrap_or_default();
    Ok((ContentType(content_type), at))
}

/// The sequence number after this one. It must not wrap (section 5.3), and cannot within a lifetime.
pub(super) fn following(sequence: u64) -> Result<u64, Error> {
    sequence
        .checked_add(1)
        .ok_or_else(|| Misbehaviour::TooMuchForOneKey.into())
}

/// How the records that we write are protected.
pub(super) struct WriteProtection {
    keys: WriteKeys,
    /// What plaintext records say; protected ones always say TLS 1.2.
    version: ProtocolVersion,
}

enum WriteKeys {
    /// Not yet.
    Plaintext,
    /// TLS 1.3: the content type is inside.
    Tls13(Write13),
    /// TLS 1.2: the content type is outside.
    Tls12(Write12),
}

struct Write13 {
    key: SealingKey,
    /// Records sealed so far.
    sequence: u64,
    /// Records that one key may seal (section 5.5).
    limit: u64,
}

impl WriteProtection {
    pub(super) const fn plaintext() -> Self {
        Self {
            keys: WriteKeys::Plaintext,
            version: ProtocolVersion::TLS12,
        }
    }

    pub(super) fn set_version(&mut self, version: ProtocolVersion) {
        self.version = version;
    }

    pub(super) fn set_keys(&mut self, key: SealingKey, limit: u64) {
        self.keys = WriteKeys::Tls13(Write13 {
            key,
            sequence: 0,
            limit,
        });
    }

    pub(super) fn set_keys12(&mut self, key: SealingKey, limit: u64) {
        self.keys = WriteKeys::Tls12(Write12::new(key, limit));
    }

    /// Whether the key should be replaced before more data is sealed, which TLS 1.2 cannot: a few records of its
    /// allowance are left, for the KeyUpdate itself and for alerts.
    #[inline]
    pub(super) fn needs_key_update(&self) -> bool {
        const RESERVE: u64 = 8;
        let (sequence, limit) = match &self.keys {
            WriteKeys::Plaintext => return false,
            WriteKeys::Tls13(keys) => (keys.sequence, keys.limit),
            WriteKeys::Tls12(keys) => (keys.sequence(), keys.limit()),
        };
        sequence >= limit.saturating_sub(RESERVE).max(1)
    }

    /// Bytes of a record that are neither content nor padding.
    #[inline]
    pub(super) const fn overhead(&self) -> usize {
        match &self.keys {
            WriteKeys::Plaintext => HEADER_LEN,
            WriteKeys::Tls13(_) => HEADER_LEN + 1 + TAG_LEN,
            WriteKeys::Tls12(keys) => keys.content_at() + TAG_LEN,
        }
    }

    /// Bytes of a record before its content.
    #[inline]
    pub(super) const fn content_at(&self) -> usize {
        match &self.keys {
            WriteKeys::Plaintext | WriteKeys::Tls13(_) => HEADER_LEN,
            WriteKeys::Tls12(keys) => keys.content_at(),
        }
    }

    /// Whether records can be padded: in plaintext and in TLS 1.2 they cannot.
    pub(super) const fn may_pad(&self) -> bool {
        matches!(self.keys, WriteKeys::Tls13(_))
    }

    /// Seals content from elsewhere into `out`, which has the length of the content and [`Self::overhead`].
    #[inline]
    pub(super) fn seal(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        if let WriteKeys::Tls12(keys) = &mut self.keys {
            return keys.seal(content_type, content, out);
        }
        if let WriteKeys::Tls13(keys) = &mut self.keys
            && keys.key.prefers_out_of_place(content.len())
        {
            let next = following(keys.sequence)?;
            let (header, body) = split_header(out)?;
            *header = encode(ContentType::APPLICATION_DATA, ProtocolVersion::TLS12, body.len());
            keys.key
                .seal(keys.sequence, header, content, &[content_type.0], body)?;
            keys.sequence = next;
            return Ok(());
        }
        let (_, body) = split_header(out)?;
        body.get_mut(..content.len())
            .ok_or_else(no_room)?
            .copy_from_slice(content);
        self.seal_in_place(content_type, content.len(), out)
    }

    /// Makes a record of `out`, in which the content lies at [`Self::content_at`]. What `out` is longer than content
    /// and [`Self::overhead`] becomes padding.
    pub(super) fn seal_in_place(
        &mut self,
        content_type: ContentType,
        content_len: usize,
        out: &mut [u8],
    ) -> Result<(), Error> {
        let keys = match &mut self.keys {
            WriteKeys::Plaintext => {
                let (header, body) = split_header(out)?;
                *header = encode(content_type, self.version, body.len());
                return Ok(());
            }
            WriteKeys::Tls12(keys) => return keys.seal_in_place(content_type, out),
            WriteKeys::Tls13(keys) => keys,
        };
        let (header, body) = split_header(out)?;
        let next = following(keys.sequence)?;
        *header = encode(ContentType::APPLICATION_DATA, ProtocolVersion::TLS12, body.len());
        let tag_at = body.len().saturating_sub(TAG_LEN);
        let (inner_type, padding) = body
            .get_mut(content_len..tag_at)
            .and_then(<[u8]>::split_first_mut)
            .ok_or_else(no_room)?;
        *inner_type = content_type.0;
        padding.fill(0);
        keys.key.seal_in_place(keys.sequence, header, body)?;
        keys.sequence = next;
        Ok(())
    }
}

pub(super) fn split_header(out: &mut [u8]) -> Result<(&mut [u8; HEADER_LEN], &mut [u8]), Error> {
    out.split_first_chunk_mut::<HEADER_LEN>().ok_or_else(no_room)
}

/// Never happens: the output makes room before it seals.
pub(super) fn no_room() -> Error {
    Error::new(ErrorKind::Crypto("no room for a record"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::aead::AeadAlgorithm;

    const ALGORITHM: AeadAlgorithm = AeadAlgorithm::Aes128Gcm;

    fn writer(limit: u64) -> WriteProtection {
        let mut protection = WriteProtection::plaintext();
        protection.set_keys(SealingKey::new(ALGORITHM, &[1; 16], [2; 12]).unwrap(), limit);
        protection
    }

    fn reader(sequence: u64) -> ReadProtection {
        ReadProtection::Tls13 {
            key: OpeningKey::new(ALGORITHM, &[1; 16], [2; 12]).unwrap(),
            sequence,
        }
    }

    fn open(
        protection: &mut ReadProtection,
        record: &mut [u8],
    ) -> Result<(ContentType, Vec<u8>), Misbehaviour> {
        let (header, body) = record.split_first_chunk_mut::<HEADER_LEN>().unwrap();
        match protection.open_in_place(ContentType(header[0]), header, body) {
            Ok((content_type, content)) => Ok((content_type, body[content].to_vec())),
            Err(error) => match error.into_kind() {
                ErrorKind::Misbehaved(misbehaviour) => Err(misbehaviour),
                other => panic!("{other}"),
            },
        }
    }

    /// A record with this inner plaintext, type and padding included.
    fn record_of(inner: &[u8]) -> Vec<u8> {
        let mut record = encode(
            ContentType::APPLICATION_DATA,
            ProtocolVersion::TLS12,
            inner.len() + TAG_LEN,
        )
        .to_vec();
        let header = record.clone();
        record.resize(HEADER_LEN + inner.len() + TAG_LEN, 0);
        let mut key = SealingKey::new(ALGORITHM, &[1; 16], [2; 12]).unwrap();
        key.seal(0, &header, inner, &[], &mut record[HEADER_LEN..])
            .unwrap();
        record
    }

    #[test]
    fn content_type_and_padding_are_hidden_and_stripped() {
        for padding in [0, 1, 300] {
            let mut protection = writer(100);
            let mut record = vec![0xaa; protection.overhead() + 3 + padding];
            record[HEADER_LEN..HEADER_LEN + 3].copy_from_slice(b"abc");
            protection
                .seal_in_place(ContentType::HANDSHAKE, 3, &mut record)
                .unwrap();
            assert_eq!(record[0], 23);
            assert_eq!(
                open(&mut reader(0), &mut record),
                Ok((ContentType::HANDSHAKE, b"abc".to_vec()))
            );
        }
    }

    #[test]
    fn content_may_end_in_zeros() {
        let mut record = record_of(&[0, 0, 0, 23, 0, 0]);
        assert_eq!(
            open(&mut reader(0), &mut record),
            Ok((ContentType::APPLICATION_DATA, vec![0; 3]))
        );
    }

    #[test]
    fn an_inner_plaintext_without_type_is_refused() {
        for inner in [&[][..], &[0], &[0; 100]] {
            assert_eq!(
                open(&mut reader(0), &mut record_of(inner)),
                Err(Misbehaviour::EmptyRecord)
            );
        }
    }

    #[test]
    fn an_inner_plaintext_may_have_one_byte_more_than_a_fragment() {
        let mut inner = vec![23; MAX_FRAGMENT + 1];
        assert!(open(&mut reader(0), &mut record_of(&inner)).is_ok());
        inner.push(0);
        assert_eq!(
            open(&mut reader(0), &mut record_of(&inner)),
            Err(Misbehaviour::RecordOverflow)
        );
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let record = record_of(b"abc\x17");
        for at in 0..record.len() {
            let mut copy = record.clone();
            copy[at] ^= 1;
            assert_eq!(
                open(&mut reader(0), &mut copy),
                Err(Misbehaviour::BadRecordMac),
                "byte {at}"
            );
        }
    }

    #[test]
    fn sequence_numbers_do_not_wrap() {
        let error = open(&mut reader(u64::MAX), &mut record_of(b"abc\x17"));
        assert_eq!(error, Err(Misbehaviour::TooMuchForOneKey));
    }

    #[test]
    fn a_key_near_its_limit_asks_for_an_update() {
        let mut protection = writer(10);
        let mut out = [0; 22 + 1];
        for _ in 0..2 {
            assert!(!protection.needs_key_update());
            protection
                .seal(ContentType::APPLICATION_DATA, b"a", &mut out)
                .unwrap();
        }
        assert!(protection.needs_key_update());
    }
}
