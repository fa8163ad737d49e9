//! The framing that all extension blocks share, and the table of where each extension may stand (section 4.2).

use crate::error::Misbehaviour;
use crate::registry::{ExtensionType, HandshakeType};
use crate::wire::{BadBytes, Prefixed16, Problem, Put, Reader, UNKNOWN_EXTENSION};

/// Up to this many entries are compared with each other; the entries of a longer list are sorted, so that a peer
/// cannot make us do quadratic work.
const FEW: usize = 32;

/// Reads an extension block to its end: `each` is given the type and content of every extension and must leave
/// nothing of the content (of an unknown one too: [`Reader::rest`]). Returns the types in wire order.
pub(super) fn read_extensions(
    mut block: Reader<'_>,
    mut each: impl FnMut(ExtensionType, &mut Reader<'_>) -> Result<(), BadBytes>,
) -> Result<Vec<ExtensionType>, BadBytes> {
    let start = block.clone();
    // A guess that spares growing: ours and browsers' have about 20, of a dozen bytes each or more.
    let mut types = Vec::with_capacity((block.remaining() / 8).min(24));
    while !block.is_empty() {
        let extension = ExtensionType(block.u16("extension_type")?);
        let name = extension.name().unwrap_or(UNKNOWN_EXTENSION);
        let mut body = block.vec16(name)?;
        if types.len() < FEW && types.contains(&extension) {
            return Err(body.error(name, Problem::Duplicate));
        }
        types.push(extension);
        each(extension, &mut body)?;
        body.end(name)?;
    }
    if types.len() > FEW && has_duplicate(types.iter().map(|extension| extension.0)) {
        return Err(start.error("extensions", Problem::Duplicate));
    }
    Ok(types)
}

/// Whether a code point appears twice.
pub(super) fn has_duplicate(codes: impl ExactSizeIterator<Item = u16> + Clone) -> bool {
    if codes.len() <= FEW {
        let mut rest = codes;
        return core::iter::from_fn(|| rest.next().map(|code| rest.clone().any(|other| other == code)))
            .any(|twice| twice);
    }
    let mut codes: Vec<u16> = codes.collect();
    codes.sort_unstable();
    codes
        .iter()
        .zip(codes.iter().skip(1))
        .any(|(one, next)| one == next)
}

/// Appends an extension whose content `body` writes.
pub(super) fn extension(out: &mut Vec<u8>, extension: ExtensionType, body: impl FnOnce(&mut Vec<u8>)) {
    out.put_u16(extension);
    body(&mut Prefixed16::new(out));
}

/// Appends an extension without content if `present`.
pub(super) fn flag(out: &mut Vec<u8>, present: bool, extension: ExtensionType) {
    if present {
        out.put_u16(extension);
        out.put_u16(0u16);
    }
}

/// Reads a list of 16-bit code points with a two-byte length that may not be empty.
pub(super) fn code_points<T: From<u16>>(
    body: &mut Reader<'_>,
    field: &'static str,
) -> Result<Vec<T>, BadBytes> {
    body.vec16(field)?.not_empty(field)?.list_u16(field)
}

/// Appends a list of 16-bit code points with a two-byte length.
pub(super) fn put_code_points<T: Copy + Into<u16>>(out: &mut Vec<u8>, list: &[T]) {
    let mut out = Prefixed16::new(out);
    for code in list {
        out.put_u16(*code);
    }
}

/// Reads the DER names of certificate authorities (section 4.2.4).
pub(super) fn read_authorities(body: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, BadBytes> {
    body.vec16("certificate_authorities")?
        .not_empty("certificate_authorities")?
        .list(|name| {
            Ok(name
                .vec16("DistinguishedName")?
                .not_empty("DistinguishedName")?
                .rest()
                .to_vec())
        })
}

/// Appends the DER names of certificate authorities.
pub(super) fn put_authorities(out: &mut Vec<u8>, names: &[Vec<u8>]) {
    let mut out = Prefixed16::new(out);
    for name in names {
        Prefixed16::new(&mut out).put(name);
    }
}

/// The least record_size_limit (RFC 8449 section 4), in bytes.
const MIN_RECORD_SIZE_LIMIT: u16 = 64;

/// Reads a record_size_limit, in bytes of plaintext. A smaller one than 64 must be refused (RFC 8449 section 4).
pub(super) fn read_record_size_limit(body: &mut Reader<'_>) -> Result<u16, BadBytes> {
    let start = body.clone();
    match body.u16("record_size_limit")? {
        limit if limit < MIN_RECORD_SIZE_LIMIT => {
            Err(start.error("record_size_limit", Problem::IllegalValue))
        }
        limit => Ok(limit),
    }
}

/// Reads an OCSP status_request (RFC 6066 section 8) and says whether it is one: other types are passed over.
pub(super) fn read_status_request(body: &mut Reader<'_>) -> Result<bool, BadBytes> {
    if body.u8("status_type")? != STATUS_TYPE_OCSP {
        body.rest();
        return Ok(false);
    }
    body.vec16("responder_id_list")?
        .list(|id| id.vec16("ResponderID")?.not_empty("ResponderID").map(|_| ()))?;
    body.vec16("request_extensions")?;
    Ok(true)
}

/// The only registered CertificateStatusType that is in use (RFC 6066 section 8).
pub(super) const STATUS_TYPE_OCSP: u8 = 1;

/// Appends a status_request extension that asks for an OCSP response from anyone.
pub(super) fn put_status_request(out: &mut Vec<u8>) {
    extension(out, ExtensionType::STATUS_REQUEST, |out| {
        out.put(&[STATUS_TYPE_OCSP, 0, 0, 0, 0])
    });
}

/// The point formats of RFC 8422 section 5.1.2. All but uncompressed are history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointFormats {
    /// Whether uncompressed points are in the list, as they must be.
    pub(crate) uncompressed: bool,
}

impl PointFormats {
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let formats = body
            .vec8("ec_point_formats")?
            .not_empty("ec_point_formats")?
            .rest();
        Ok(Self {
            uncompressed: formats.contains(&0),
        })
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        extension(out, ExtensionType::EC_POINT_FORMATS, |out| {
            out.put(&[1, u8::from(!self.uncompressed)])
        });
    }
}

/// A message that carries extensions, as the table of section 4.2 tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// ClientHello of any version.
    ClientHello = CH,
    /// ServerHello of TLS 1.3.
    ServerHello = SH,
    /// HelloRetryRequest.
    HelloRetryRequest = HRR,
    /// EncryptedExtensions.
    EncryptedExtensions = EE,
    /// An entry of a Certificate.
    Certificate = CT,
    /// CertificateRequest.
    CertificateRequest = CR,
    /// NewSessionTicket.
    NewSessionTicket = NST,
    /// ServerHello of TLS 1.2.
    ServerHello12 = SH12,
}

impl Place {
    const fn message(self) -> HandshakeType {
        match self {
            Self::ClientHello => HandshakeType::CLIENT_HELLO,
            Self::ServerHello | Self::HelloRetryRequest | Self::ServerHello12 => HandshakeType::SERVER_HELLO,
            Self::EncryptedExtensions => HandshakeType::ENCRYPTED_EXTENSIONS,
            Self::Certificate => HandshakeType::CERTIFICATE,
            Self::CertificateRequest => HandshakeType::CERTIFICATE_REQUEST,
            Self::NewSessionTicket => HandshakeType::NEW_SESSION_TICKET,
        }
    }
}

const CH: u8 = 1;
const SH: u8 = 1 << 1;
const HRR: u8 = 1 << 2;
const EE: u8 = 1 << 3;
const CT: u8 = 1 << 4;
const CR: u8 = 1 << 5;
const NST: u8 = 1 << 6;
const SH12: u8 = 1 << 7;

/// Whether an extension may stand in a message: the table of section 4.2, with the extensions that other RFCs and
/// TLS 1.2 add. `None` for an extension that we do not know.
pub(crate) const fn allowed_in(extension: ExtensionType, place: Place) -> Option<bool> {
    use ExtensionType as E;
    let places = match extension {
        E::SERVER_NAME
        | E::MAX_FRAGMENT_LENGTH
        | E::USE_SRTP
        | E::HEARTBEAT
        | E::ALPN
        | E::CLIENT_CERTIFICATE_TYPE
        | E::SERVER_CERTIFICATE_TYPE
        | E::RECORD_SIZE_LIMIT => CH | EE | SH12,
        // Not allowed in a ServerHello of TLS 1.2, yet servers send it there (and the client did offer it).
        E::SUPPORTED_GROUPS => CH | EE | SH12,
        E::STATUS_REQUEST | E::SIGNED_CERTIFICATE_TIMESTAMP => CH | CR | CT | SH12,
        E::SIGNATURE_ALGORITHMS
        | E::SIGNATURE_ALGORITHMS_CERT
        | E::CERTIFICATE_AUTHORITIES
        | E::COMPRESS_CERTIFICATE => CH | CR,
        E::PADDING | E::PSK_KEY_EXCHANGE_MODES | E::POST_HANDSHAKE_AUTH => CH,
        E::KEY_SHARE | E::SUPPORTED_VERSIONS => CH | SH | HRR,
        E::PRE_SHARED_KEY => CH | SH,
        E::EARLY_DATA => CH | EE | NST,
        E::COOKIE => CH | HRR,
        E::OID_FILTERS => CR,
        E::TICKET_REQUEST => CH | EE,
        E::ENCRYPTED_CLIENT_HELLO => CH | EE | HRR,
        E::EC_POINT_FORMATS
        | E::ENCRYPT_THEN_MAC
        | E::EXTENDED_MAIN_SECRET
        | E::SESSION_TICKET
        | E::RENEGOTIATION_INFO => CH | SH12,
        _ => return None,
    };
    Some(places & place as u8 != 0)
}

/// Checks that no extension stands where the table rules it out (section 4.2: illegal_parameter). Unknown ones pass.
pub(crate) fn check_placement(types: &[ExtensionType], place: Place) -> Result<(), Misbehaviour> {
    match types
        .iter()
        .find(|extension| allowed_in(**extension, place) == Some(false))
    {
        None => Ok(()),
        Some(extension) => Err(Misbehaviour::MisplacedExtension {
            message: place.message(),
            extension: *extension,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types_of(block: &[u8]) -> Result<Vec<u16>, BadBytes> {
        let types = read_extensions(Reader::new("test", block), |_, body| {
            body.rest();
            Ok(())
        })?;
        Ok(types.into_iter().map(u16::from).collect())
    }

    fn block_of(types: impl Iterator<Item = u16>) -> Vec<u8> {
        let mut block = Vec::new();
        types.for_each(|code| flag(&mut block, true, ExtensionType(code)));
        block
    }

    #[test]
    fn the_types_are_kept_in_wire_order() {
        assert_eq!(
            types_of(&block_of([7, 0x0a0a, 3].into_iter())),
            Ok(vec![7, 0x0a0a, 3])
        );
    }

    #[test]
    fn a_duplicate_is_found_in_short_and_in_long_blocks() {
        // Under Miri thousands take many minutes.
        let long = if cfg!(miri) { 50 } else { 5000 };
        for len in [1, 2, 31, 32, 33, 34, long] {
            assert_eq!(types_of(&block_of(0..len)).unwrap().len(), usize::from(len));
            for twin in [0, len / 2, len - 1] {
                let error = types_of(&block_of((0..len).chain([twin]))).unwrap_err();
                assert_eq!(error.problem, Problem::Duplicate, "{twin} twice in {len}");
            }
        }
    }

    #[test]
    fn content_that_nobody_reads_is_refused() {
        let error = read_extensions(Reader::new("test", &[0, 42, 0, 1, 0]), |_, _| Ok(())).unwrap_err();
        assert_eq!(
            (error.field, error.problem),
            ("early_data", Problem::TrailingBytes)
        );
    }

    #[test]
    fn each_extension_stands_only_where_the_table_has_it() {
        use ExtensionType as E;
        assert_eq!(allowed_in(E::KEY_SHARE, Place::HelloRetryRequest), Some(true));
        assert_eq!(
            allowed_in(E::PRE_SHARED_KEY, Place::HelloRetryRequest),
            Some(false)
        );
        assert_eq!(allowed_in(E::ALPN, Place::ServerHello), Some(false));
        assert_eq!(allowed_in(E::ALPN, Place::ServerHello12), Some(true));
        assert_eq!(allowed_in(E::EARLY_DATA, Place::NewSessionTicket), Some(true));
        assert_eq!(allowed_in(E(0x0a0a), Place::ServerHello), None);
        let types = [E(0x0a0a), E::SUPPORTED_VERSIONS, E::COOKIE];
        assert_eq!(check_placement(&types, Place::HelloRetryRequest), Ok(()));
        let misplaced = Misbehaviour::MisplacedExtension {
            message: HandshakeType::SERVER_HELLO,
            extension: E::COOKIE,
        };
        assert_eq!(check_placement(&types, Place::ServerHello), Err(misplaced));
    }

    #[test]
    fn a_record_size_limit_below_64_is_refused() {
        assert_eq!(read_record_size_limit(&mut Reader::new("test", &[0, 64])), Ok(64));
        let error = read_record_size_limit(&mut Reader::new("test", &[0, 63])).unwrap_err();
        assert_eq!((error.problem, error.offset), (Problem::IllegalValue, 0));
    }

    #[test]
    fn a_status_request_of_another_type_is_passed_over() {
        assert_eq!(
            read_status_request(&mut Reader::new("test", &[1, 0, 0, 0, 0])),
            Ok(true)
        );
        assert_eq!(
            read_status_request(&mut Reader::new("test", &[9, 1, 2, 3])),
            Ok(false)
        );
        assert!(read_status_request(&mut Reader::new("test", &[1, 0, 0])).is_err());
        assert!(read_status_request(&mut Reader::new("test", &[1, 0, 2, 0, 0, 0, 0])).is_err());
    }
}
