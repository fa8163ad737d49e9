//! The five bytes before each record (section 5.1).

use super::MAX_FRAGMENT;
use crate::error::{Error, Misbehaviour};
use crate::registry::{ContentType, ProtocolVersion};

/// Bytes of a record header.
pub(crate) const HEADER_LEN: usize = 5;

/// Bytes that protection may add to a record in TLS 1.3 (section 5.2).
pub(super) const MAX_EXPANSION: usize = 256;

/// Bytes that protection may add to a record in TLS 1.2 (RFC 5246 6.2.3).
pub(super) const MAX_EXPANSION12: usize = 2048;

/// A record header whose type is known and whose length is within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) content_type: ContentType,
    /// Bytes that follow.
    pub(super) length: usize,
}

impl Header {
    /// Reads a header of a record whose body has at most `max_body` bytes. The minor version is ignored as the RFC
    /// demands, unless it has to be `version`: in TLS 1.2, and where TLS 1.3 protects; another major version is not TLS.
    #[inline]
    pub(super) fn parse(
        bytes: [u8; HEADER_LEN],
        max_body: usize,
        version: Option<ProtocolVersion>,
    ) -> Result<Self, Error> {
        let [content_type, major, minor, high, low] = bytes;
        let content_type = ContentType(content_type);
        if content_type.name().is_none() {
            return Err(Misbehaviour::UnexpectedRecord(content_type).into());
        }
        let found = ProtocolVersion(u16::from_be_bytes([major, minor]));
        if major != 3 || version.is_some_and(|version| version != found) {
            return Err(Misbehaviour::BadRecordHeader.into());
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        // Data without keys is early data that we skip, which is protected all the same (section 4.2.10).
        let max_body = match content_type {
            ContentType::APPLICATION_DATA => max_body.max(MAX_FRAGMENT + MAX_EXPANSION),
            _ => max_body,
        };
        if length > max_body {
            return Err(Misbehaviour::RecordOverflow.into());
        }
        Ok(Self { content_type, length })
    }
}

/// A header for a record of `length` bytes. Our records are never longer than the field can say.
pub(super) fn encode(content_type: ContentType, version: ProtocolVersion, length: usize) -> [u8; HEADER_LEN] {
    debug_assert!(length <= MAX_FRAGMENT + MAX_EXPANSION);
    let [major, minor] = version.0.to_be_bytes();
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [content_type.0, major, minor, high, low]
}

/// Whether these first bytes of a connection, however few, can be the start of a TLS record.
pub(super) fn looks_like_tls(first_bytes: &[u8]) -> bool {
    let known_type = first_bytes
        .first()
        .is_none_or(|byte| ContentType(*byte).name().is_some());
    let major = first_bytes.get(1).is_none_or(|byte| *byte == 3);
    known_type && major
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refusal(bytes: [u8; 5], version: Option<ProtocolVersion>) -> Misbehaviour {
        match Header::parse(bytes, MAX_FRAGMENT, version)
            .unwrap_err()
            .into_kind()
        {
            ErrorKind::Misbehaved(misbehaviour) => misbehaviour,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = encode(ContentType::HANDSHAKE, ProtocolVersion::TLS10, 0x1234);
        assert_eq!(bytes, [22, 3, 1, 0x12, 0x34]);
        assert_eq!(
            Header::parse(bytes, MAX_FRAGMENT, None).unwrap(),
            Header {
                content_type: ContentType::HANDSHAKE,
                length: 0x1234
            }
        );
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        assert!(Header::parse([22, 3, 3, 0x40, 0], MAX_FRAGMENT, None).is_ok());
        assert_eq!(refusal([22, 3, 3, 0x40, 1], None), Misbehaviour::RecordOverflow);
        assert!(Header::parse([23, 3, 3, 0x41, 0], MAX_FRAGMENT + MAX_EXPANSION, None).is_ok());
    }

    #[test]
    fn the_version_counts_once_it_is_known() {
        assert!(Header::parse([22, 3, 99, 0, 1], MAX_FRAGMENT, None).is_ok());
        let tls12 = Some(ProtocolVersion::TLS12);
        assert!(Header::parse([22, 3, 3, 0, 1], MAX_FRAGMENT, tls12).is_ok());
        assert_eq!(refusal([22, 3, 1, 0, 1], tls12), Misbehaviour::BadRecordHeader);
    }

    #[test]
    fn an_unknown_type_and_a_wrong_major_version_are_refused() {
        assert_eq!(
            refusal([24, 3, 3, 0, 1], None),
            Misbehaviour::UnexpectedRecord(ContentType(24))
        );
        assert_eq!(refusal([22, 2, 3, 0, 1], None), Misbehaviour::BadRecordHeader);
    }

    #[test]
    fn other_protocols_do_not_look_like_tls() {
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            b"SSH-2.0",
            b"G",
            b"\x16\x02",
            b"\x80\x2e\x01\x03\x01",
        ] {
            assert!(!looks_like_tls(bytes), "{bytes:?}");
        }
        for bytes in [&b""[..], b"\x16", b"\x16\x03\x01", b"\x15\x03\x03\x00\x02"] {
            assert!(looks_like_tls(bytes), "{bytes:?}");
        }
    }
}
