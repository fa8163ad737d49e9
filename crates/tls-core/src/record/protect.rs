//! Records sealed and opened (section 5.2): the plaintext epoch, and keys with their sequence number.

use super::MAX_FRAGMENT;
use super::header::{HEADER_LEN, encode};
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
}

impl ReadProtection {
    pub(super) const fn is_plaintext(&self) -> bool {
        matches!(self, Self::Plaintext)
    }

    /// Whether no record was opened since the last change of keys.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self, Self::Plaintext | Self::Tls13 { sequence: 0, .. })
    }

    /// Opens the body of a record in place: its content type, and the length of the content at the front of it.
    #[inline]
    pub(super) fn open_in_place(
        &mut self,
        outer: ContentType,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
    ) -> Result<(ContentType, usize), Error> {
        match self {
            Self::Plaintext => Ok((outer, body.len())),
            Self::Tls13 { key, sequence } => {
                let next = following(*sequence)?;
                let inner = key.open_in_place(*sequence, header, body)?;
                *sequence = next;
                strip(inner)
            }
        }
    }

    /// The length that `out` must have for [`Self::open_into`] with a body of this length.
    pub(super) const fn inner_len(&self, body_len: usize) -> Option<usize> {
        match self {
            Self::Plaintext => None,
            Self::Tls13 { .. } => body_len.checked_sub(TAG_LEN),
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
fn following(sequence: u64) -> Result<u64, Error> {
    sequence
        .checked_add(1)
        .ok_or_else(|| Misbehaviour::TooMuchForOneKey.into())
}

/// How the records that we write are protected.
pub(super) struct WriteProtection {
    keys: Option<WriteKeys>,
    /// What plaintext records say; protected ones always say TLS 1.2.
    version: ProtocolVersion,
}

struct WriteKeys {
    key: SealingKey,
    /// Records sealed so far.
    sequence: u64,
    /// Records that one key may seal (section 5.5).
    limit: u64,
}

impl WriteProtection {
    pub(super) const fn plaintext() -> Self {
        Self {
            keys: None,
            version: ProtocolVersion::TLS12,
        }
    }

    pub(super) fn set_version(&mut self, version: ProtocolVersion) {
        self.version = version;
    }

    pub(super) fn set_keys(&mut self, key: SealingKey, limit: u64) {
        self.keys = Some(WriteKeys {
            key,
            sequence: 0,
            limit,
        });
    }

    /// Whether the key should be replaced before more data is sealed: a few records of its allowance are left, for
    /// the KeyUpdate itself and for alerts.
    #[inline]
    pub(super) fn needs_key_update(&self) -> bool {
        const RESERVE: u64 = 8;
        self.keys
            .as_ref()
            .is_some_and(|keys| keys.sequence >= keys.limit.saturating_sub(RESERVE).max(1))
    }

    /// Bytes of a record that are neither content nor padding.
    #[inline]
    pub(super) const fn overhead(&self) -> usize {
        match self.keys {
            None => HEADER_LEN,
            Some(_) => HEADER_LEN + 1 + TAG_LEN,
        }
    }

    /// Whether records can be padded: in plaintext they cannot.
    pub(super) const fn may_pad(&self) -> bool {
        self.keys.is_some()
    }

    /// Seals content from elsewhere into `out`, which has the length of the content and [`Self::overhead`].
    #[inline]
    pub(super) fn seal(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        if let Some(keys) = &mut self.keys
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

    /// Makes a record of `out`, in which the content follows [`HEADER_LEN`] bytes. What `out` is longer than
    /// content and [`Self::overhead`] becomes padding.
    pub(super) fn seal_in_place(
        &mut self,
        content_type: ContentType,
        content_len: usize,
        out: &mut [u8],
    ) -> Result<(), Error> {
        let (header, body) = split_header(out)?;
        let Some(keys) = &mut self.keys else {
            *header = encode(content_type, self.version, body.len());
            return Ok(());
        };
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

fn split_header(out: &mut [u8]) -> Result<(&mut [u8; HEADER_LEN], &mut [u8]), Error> {
    out.split_first_chunk_mut::<HEADER_LEN>().ok_or_else(no_room)
}

/// Never happens: the output makes room before it seals.
fn no_room() -> Error {
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
            Ok((content_type, len)) => Ok((content_type, body[..len].to_vec())),
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
