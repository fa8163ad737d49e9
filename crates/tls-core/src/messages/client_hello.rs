//! ClientHello (section 4.1.2).

use crate::registry::{
    CipherSuite, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion, SignatureScheme,
};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

use super::Message;
use super::client_extensions::ClientExtensions;
use super::extensions::put_code_points;
use super::short_bytes::SessionId;

/// The first message of a handshake: what the client offers (section 4.1.2).
///
/// Hooks read it through its methods. It is well formed, and nothing in it is authenticated. What a server received is
/// there to the last byte: [`Self::raw`], [`Self::extensions`].
///
/// ```
/// use tls_core::{ClientConfig, ClientHello, Driver, NamedGroup, ServerName};
///
/// let config = ClientConfig::builder().dangerously_accept_any_certificate().build()?;
/// let mut client = Driver::client(&config, ServerName::try_from("localhost").unwrap());
/// client.advance().unwrap();
/// // The record's header goes before the message.
/// let hello = ClientHello::parse(&client.transmit()[5..]).unwrap();
/// assert_eq!(hello.server_name(), Some("localhost"));
/// assert!(hello.supported_groups().contains(&NamedGroup::X25519MLKEM768));
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    pub(crate) legacy_version: ProtocolVersion,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: SessionId,
    pub(crate) cipher_suites: Vec<CipherSuite>,
    pub(crate) compression: Compression,
    pub(crate) extensions: ClientExtensions,
    /// The whole message, where it came from a client.
    pub(crate) raw: Vec<u8>,
}

/// What a list of compression methods says about the null method, the only one we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Null alone: the only list that TLS 1.3 allows.
    OnlyNull,
    /// Null and others, as TLS 1.2 allows.
    NullAndOthers,
    /// No null, which no version allows.
    NoNull,
}

impl ClientHello {
    /// The host name that the client wants to reach (RFC 6066 section 3), as it was sent: ASCII, in any case, never an
    /// IP address. `None` if it names none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.extensions.server_name.as_deref()
    }

    /// The application protocols offered, most preferred first (RFC 7301); none if the client does not use ALPN.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.extensions.alpn.iter().flat_map(|names| names.iter())
    }

    /// The cipher suites offered, most preferred first, unknown and GREASE values included.
    #[must_use]
    pub fn cipher_suites(&self) -> &[CipherSuite] {
        &self.cipher_suites
    }

    /// The versions of supported_versions (section 4.2.1), most preferred first; empty in a client that is older than
    /// TLS 1.3 and says only [`Self::legacy_version`].
    #[must_use]
    pub fn supported_versions(&self) -> &[ProtocolVersion] {
        self.extensions.supported_versions.as_deref().unwrap_or_default()
    }

    /// The version field, which is TLS 1.2 in clients of TLS 1.3.
    #[must_use]
    pub fn legacy_version(&self) -> ProtocolVersion {
        self.legacy_version
    }

    /// The groups for key exchange, most preferred first (section 4.2.7).
    #[must_use]
    pub fn supported_groups(&self) -> &[NamedGroup] {
        self.extensions.supported_groups.as_deref().unwrap_or_default()
    }

    /// The signature schemes that the client verifies in handshakes (section 4.2.3).
    #[must_use]
    pub fn signature_algorithms(&self) -> &[SignatureScheme] {
        self.extensions
            .signature_algorithms
            .as_deref()
            .unwrap_or_default()
    }

    /// The signature schemes that the client verifies in certificates: those of signature_algorithms_cert, or the same
    /// as for handshakes where that is not sent (section 4.2.3).
    #[must_use]
    pub fn signature_algorithms_cert(&self) -> &[SignatureScheme] {
        self.extensions
            .signature_algorithms_cert
            .as_deref()
            .unwrap_or_else(|| self.signature_algorithms())
    }

    /// The DER names of the authorities that the client trusts (section 4.2.4); rarely sent.
    pub fn certificate_authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.extensions
            .certificate_authorities
            .iter()
            .flatten()
            .map(Vec::as_slice)
    }

    /// The types of all extensions in wire order, unknown and GREASE values included.
    #[must_use]
    pub fn extension_types(&self) -> &[ExtensionType] {
        &self.extensions.extension_types
    }

    /// The 32 random bytes of the client.
    #[must_use]
    pub fn random(&self) -> &[u8; 32] {
        &self.random
    }
}

impl Message for ClientHello {
    const TYPE: HandshakeType = HandshakeType::CLIENT_HELLO;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let legacy_version = ProtocolVersion(body.u16("legacy_version")?);
        let random = body.array("random")?;
        let session_id = read_session_id(body, "legacy_session_id")?;
        let cipher_suites = body.vec16("cipher_suites")?.not_empty("cipher_suites")?;
        let cipher_suites = cipher_suites.list_u16("cipher_suites")?;
        let methods = body
            .vec8("legacy_compression_methods")?
            .not_empty("legacy_compression_methods")?
            .rest();
        let compression = match methods {
            [0] => Compression::OnlyNull,
            methods if methods.contains(&0) => Compression::NullAndOthers,
            _ => Compression::NoNull,
        };
        // A client of TLS 1.2 may send no block at all (RFC 5246 7.4.1.2).
        let extensions = if body.is_empty() {
            ClientExtensions::default()
        } else {
            ClientExtensions::read(body.vec16("extensions")?)?
        };
        Ok(Self {
            legacy_version,
            random,
            session_id,
            cipher_suites,
            compression,
            extensions,
            raw: Vec::new(),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.legacy_version);
        out.put(&self.random);
        Prefixed8::new(out).put(&self.session_id);
        put_code_points(out, &self.cipher_suites);
        // 1 is DEFLATE (RFC 3749), for want of another; we write it in tests only.
        Prefixed8::new(out).put(match self.compression {
            Compression::OnlyNull => &[0],
            Compression::NullAndOthers => &[1, 0],
            Compression::NoNull => &[1],
        });
        self.extensions.put(&mut Prefixed16::new(out));
    }
}

/// Reads a session ID of at most 32 bytes.
pub(super) fn read_session_id(body: &mut Reader<'_>, field: &'static str) -> Result<SessionId, BadBytes> {
    let mut id = body.vec8(field)?;
    let too_long = id.error(field, Problem::LengthOutOfBounds);
    SessionId::new(id.rest()).ok_or(too_long)
}

#[cfg(test)]
mod tests {
    use super::super::alpn::ProtocolNames;
    use super::super::client_extensions::{PskModes, TicketRequest};
    use super::super::extensions::PointFormats;
    use super::super::key_share::KeyShareEntry;
    use super::super::pre_shared_key::{OfferedPsks, PskIdentity};
    use super::super::testing::{check_body, check_message, hex};
    use super::*;
    use crate::alert::AlertDescription;
    use crate::error::Error;
    use crate::messages::{decode_message, encode_message};

    /// RFC 8448 section 3, without the header.
    const TRACE: &str = "
        0303 cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7 00 0006 1301 1303 1302 01 00 0091
        0000 000b 0009 00 0006 736572766572  ff01 0001 00
        000a 0014 0012 001d 0017 0018 0019 0100 0101 0102 0103 0104  0023 0000
        0033 0026 0024 001d 0020 99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c
        002b 0003 02 0304
        000d 0020 001e 0403 0503 0603 0203 0804 0805 0806 0401 0501 0601 0201 0402 0502 0602 0202
        002d 0002 01 01  001c 0002 4001";

    /// A ClientHello with this extension block, in hexadecimal digits.
    fn with_block(block: &str) -> Result<ClientHello, BadBytes> {
        let mut body = vec![3, 3];
        body.put(&[7; 32]);
        body.put(&[0, 0, 2, 0x13, 1, 1, 0]);
        Prefixed16::new(&mut body).put(&hex(block));
        decode_message(&body)
    }

    fn problem(block: &str) -> Problem {
        with_block(block).unwrap_err().problem
    }

    fn full() -> ClientHello {
        let identity = PskIdentity {
            identity: vec![5; 20],
            obfuscated_ticket_age: 77,
        };
        let share = |group, len| KeyShareEntry {
            group: NamedGroup(group),
            key_exchange: vec![3; len],
        };
        ClientHello {
            legacy_version: ProtocolVersion::TLS12,
            random: [9; 32],
            session_id: SessionId::from([8; 32]),
            cipher_suites: vec![CipherSuite(0x2a2a), CipherSuite::TLS_AES_128_GCM_SHA256],
            compression: Compression::OnlyNull,
            extensions: ClientExtensions {
                server_name: Some("example.org".to_owned()),
                supported_groups: Some(vec![NamedGroup::X25519MLKEM768, NamedGroup::X25519]),
                signature_algorithms: Some(vec![SignatureScheme::ED25519]),
                signature_algorithms_cert: Some(vec![SignatureScheme::RSA_PKCS1_SHA256]),
                alpn: ProtocolNames::new(["h2", "http/1.1"]),
                status_request: true,
                signed_certificate_timestamp: true,
                supported_versions: Some(vec![ProtocolVersion::TLS13, ProtocolVersion::TLS12]),
                key_shares: Some(vec![share(29, 32), share(23, 65)]),
                psk_key_exchange_modes: Some(PskModes {
                    psk_ke: true,
                    psk_dhe_ke: true,
                }),
                pre_shared_key: Some(OfferedPsks::one(identity, 32)),
                early_data: true,
                cookie: Some(vec![1, 2, 3]),
                certificate_authorities: Some(vec![vec![0x30, 0]]),
                post_handshake_auth: true,
                record_size_limit: Some(16385),
                ec_point_formats: Some(PointFormats { uncompressed: true }),
                extended_main_secret: true,
                session_ticket: Some(vec![6; 10]),
                renegotiation_info: Some(Vec::new()),
                compress_certificate: Some(vec![2]),
                ticket_request: Some(TicketRequest {
                    new_session_count: 2,
                    resumption_count: 1,
                }),
                padding_len: Some(5),
                extension_types: [
                    0, 23, 18, 49, 42, 0xff01, 35, 5, 11, 28, 58, 45, 27, 43, 10, 13, 50, 16, 47, 44, 21, 51,
                    41,
                ]
                .map(ExtensionType)
                .to_vec(),
            },
            raw: Vec::new(),
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = full();
        // Without the extension block it is a ClientHello of TLS 1.2.
        check_message(&message, &[2 + 32 + 33 + 6 + 2]);
        let plain = ClientHello {
            extensions: ClientExtensions::default(),
            ..message
        };
        check_message(&plain, &[2 + 32 + 33 + 6 + 2]);
    }

    #[test]
    fn the_message_of_the_trace_has_the_fields_that_the_rfc_says() {
        let body = hex(TRACE);
        assert_eq!(body.len(), 192);
        check_body::<ClientHello>(&body, &[2 + 32 + 1 + 8 + 2]);
        let hello: ClientHello = decode_message(&body).unwrap();
        assert_eq!(hello.legacy_version(), ProtocolVersion::TLS12);
        assert_eq!((hello.random()[0], hello.random()[31]), (0xcb, 0xe7));
        assert_eq!(hello.cipher_suites(), [0x1301, 0x1303, 0x1302].map(CipherSuite));
        assert_eq!(hello.compression, Compression::OnlyNull);
        assert_eq!(hello.server_name(), Some("server"));
        assert_eq!(hello.supported_groups().len(), 9);
        assert_eq!(hello.signature_algorithms().len(), 15);
        assert_eq!(hello.signature_algorithms_cert(), hello.signature_algorithms());
        assert_eq!(hello.supported_versions(), [ProtocolVersion::TLS13]);
        assert_eq!(
            hello.extension_types(),
            [0, 0xff01, 10, 35, 51, 43, 13, 45, 28].map(ExtensionType)
        );
        assert_eq!(hello.alpn().count(), 0);
        let extensions = &hello.extensions;
        assert_eq!(extensions.renegotiation_info, Some(vec![]));
        assert_eq!(extensions.session_ticket, Some(vec![]));
        assert_eq!(
            extensions.psk_key_exchange_modes,
            Some(PskModes {
                psk_ke: false,
                psk_dhe_ke: true
            })
        );
        assert_eq!(extensions.record_size_limit, Some(0x4001));
        let shares = extensions.key_shares.as_ref().unwrap();
        assert_eq!((shares.len(), shares[0].group), (1, NamedGroup::X25519));
        assert_eq!(shares[0].key_exchange[..2], [0x99, 0x38]);
    }

    #[test]
    fn what_was_written_is_what_is_contained() {
        let mut extensions = full().extensions;
        for extension in &extensions.extension_types {
            assert!(extensions.contains(*extension), "{extension}");
        }
        extensions = ClientExtensions {
            extension_types: extensions.extension_types,
            ..Default::default()
        };
        for extension in &extensions.extension_types {
            assert!(!extensions.contains(*extension), "{extension}");
        }
    }

    #[test]
    fn the_binders_end_the_message() {
        let hello = full();
        let psks = hello.extensions.pre_shared_key.as_ref().unwrap();
        let mut message = Vec::new();
        encode_message(&hello, &mut message);
        let whole = message.clone();
        message.truncate(message.len() - psks.binders_len());
        assert_eq!(message[message.len() - 4..], 77u32.to_be_bytes());
        psks.put_binders(&mut message);
        assert_eq!(message, whole);
    }

    #[test]
    fn unknown_and_grease_extensions_are_tolerated_and_listed() {
        let hello = with_block("1a1a 0000  1234 0003 010203  002b 0005 04 1a1a 0304").unwrap();
        assert_eq!(hello.extension_types(), [0x1a1a, 0x1234, 43].map(ExtensionType));
        assert_eq!(hello.supported_versions(), [0x1a1a, 0x0304].map(ProtocolVersion));
    }

    #[test]
    fn a_duplicate_extension_is_refused_unknown_ones_too() {
        assert_eq!(problem("0017 0000 0017 0000"), Problem::Duplicate);
        assert_eq!(problem("1234 0000 0017 0000 1234 0001 00"), Problem::Duplicate);
        let alert = |block| Error::from(with_block(block).unwrap_err()).alert();
        assert_eq!(
            alert("0017 0000 0017 0000"),
            Some(AlertDescription::ILLEGAL_PARAMETER)
        );
        // What is not known cannot be illegal.
        assert_eq!(alert("1234 0000 1234 0000"), Some(AlertDescription::DECODE_ERROR));
    }

    #[test]
    fn lists_that_may_not_be_empty_are_refused_when_they_are() {
        for (name, block) in [
            ("server_name", "0000 0002 0000"),
            ("supported_groups", "000a 0002 0000"),
            ("ec_point_formats", "000b 0001 00"),
            ("signature_algorithms", "000d 0002 0000"),
            ("signature_algorithms_cert", "0032 0002 0000"),
            ("alpn", "0010 0002 0000"),
            ("supported_versions", "002b 0001 00"),
            ("cookie", "002c 0002 0000"),
            ("psk_key_exchange_modes", "002d 0001 00"),
            ("certificate_authorities", "002f 0002 0000"),
            ("compress_certificate", "001b 0001 00"),
            ("pre_shared_key", "0029 0004 0000 0000"),
        ] {
            assert_eq!(problem(block), Problem::LengthOutOfBounds, "{name}");
        }
        // A client without a share asks for a HelloRetryRequest (section 4.2.8).
        assert_eq!(
            with_block("0033 0002 0000").unwrap().extensions.key_shares,
            Some(vec![])
        );
    }

    #[test]
    fn pre_shared_key_must_be_the_last_extension() {
        let psk = format!("0029 002c 0007 0001 05 00000000 0021 20 {}", "00".repeat(32));
        assert!(with_block(&format!("0017 0000 {psk}")).is_ok());
        assert_eq!(problem(&format!("{psk} 0017 0000")), Problem::IllegalValue);
        assert_eq!(problem(&format!("{psk} 1a1a 0000")), Problem::IllegalValue);
        assert_eq!(problem(&format!("{psk} {psk}")), Problem::Duplicate);
    }

    #[test]
    fn a_session_id_and_lists_outside_their_bounds_are_refused() {
        let read = |rest: &str| {
            let body = hex(&format!("0303 {} {rest}", "07".repeat(32)));
            decode_message::<ClientHello>(&body).map_err(|bad| (bad.field, bad.problem))
        };
        let long_id = format!("21 {} 0002 1301 01 00", "00".repeat(33));
        assert_eq!(
            read(&long_id),
            Err(("legacy_session_id", Problem::LengthOutOfBounds))
        );
        assert_eq!(
            read("00 0000 01 00"),
            Err(("cipher_suites", Problem::LengthOutOfBounds))
        );
        assert_eq!(
            read("00 0003 130113 01 00"),
            Err(("cipher_suites", Problem::TooShort))
        );
        let no_method = Err(("legacy_compression_methods", Problem::LengthOutOfBounds));
        assert_eq!(read("00 0002 1301 00"), no_method);
        assert_eq!(
            read("00 0002 1301 02 0100").unwrap().compression,
            Compression::NullAndOthers
        );
        assert_eq!(
            read("00 0002 1301 01 01").unwrap().compression,
            Compression::NoNull
        );
    }
}
