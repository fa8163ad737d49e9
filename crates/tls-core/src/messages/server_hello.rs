//! ServerHello and HelloRetryRequest (sections 4.1.3 and 4.1.4), which share a type and a form.

use crate::registry::{CipherSuite, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

use super::Message;
use super::alpn;
use super::certificate::read_timestamps;
use super::client_hello::read_session_id;
use super::extensions::{PointFormats, extension, flag, read_extensions, read_record_size_limit};
use super::key_share::KeyShareEntry;
use super::short_bytes::SessionId;

/// The random of a ServerHello that is a HelloRetryRequest: SHA-256 of that word (section 4.1.3).
pub(crate) const HELLO_RETRY_REQUEST_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The last bytes of the random of a server that could do TLS 1.3 but negotiates TLS 1.2 (section 4.1.3).
pub(crate) const DOWNGRADE_TO_TLS12: [u8; 8] = *b"DOWNGRD\x01";

/// The same for TLS 1.1 or older.
pub(crate) const DOWNGRADE_TO_TLS11: [u8; 8] = *b"DOWNGRD\x00";

/// A message of type server_hello: an answer, or the request to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerHelloMessage {
    /// The parameters of the connection.
    Hello(ServerHello),
    /// The client should send another ClientHello.
    Retry(HelloRetryRequest),
}

/// ServerHello: what the server chose (section 4.1.3; RFC 5246 7.4.1.3). The compression method is always null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    /// TLS 1.2, or the version if it is older.
    pub(crate) legacy_version: ProtocolVersion,
    /// The random bytes of the server.
    pub(crate) random: [u8; 32],
    /// TLS 1.3: the client's legacy_session_id. TLS 1.2: the ID of the session.
    pub(crate) session_id: SessionId,
    /// The suite that was chosen.
    pub(crate) cipher_suite: CipherSuite,
    /// The extensions.
    pub(crate) extensions: ServerExtensions,
}

/// The extensions of a ServerHello of TLS 1.3 (the first three) or TLS 1.2 (the others).
/// `None` and `false` stand for an extension that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerExtensions {
    /// The version that was chosen, if that is TLS 1.3 (section 4.2.1).
    pub(crate) supported_version: Option<ProtocolVersion>,
    /// The server's public key (section 4.2.8).
    pub(crate) key_share: Option<KeyShareEntry>,
    /// Index of the PSK that was chosen (section 4.2.11).
    pub(crate) pre_shared_key: Option<u16>,
    /// The server name was used (RFC 6066 section 3).
    pub(crate) server_name: bool,
    /// A CertificateStatus will follow (RFC 6066 section 8).
    pub(crate) status_request: bool,
    /// The main secret is bound to the transcript (RFC 7627).
    pub(crate) extended_main_secret: bool,
    /// A NewSessionTicket will follow (RFC 5077 section 3.2).
    pub(crate) session_ticket: bool,
    /// Empty in a first handshake (RFC 5746 section 3.2).
    pub(crate) renegotiation_info: Option<Vec<u8>>,
    /// Formats of points (RFC 8422 section 5.2).
    pub(crate) ec_point_formats: Option<PointFormats>,
    /// The application protocol that was chosen (RFC 7301).
    pub(crate) alpn: Option<Vec<u8>>,
    /// A SignedCertificateTimestampList as on the wire (RFC 6962 section 3.3).
    pub(crate) signed_certificate_timestamp: Option<Vec<u8>>,
    /// The largest record the server accepts, in bytes (RFC 8449).
    pub(crate) record_size_limit: Option<u16>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

/// HelloRetryRequest: what the next ClientHello should do better (section 4.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HelloRetryRequest {
    /// TLS 1.2.
    pub(crate) legacy_version: ProtocolVersion,
    /// The client's legacy_session_id.
    pub(crate) session_id: SessionId,
    /// The suite that was chosen, which the ServerHello must repeat.
    pub(crate) cipher_suite: CipherSuite,
    /// The version that was chosen (section 4.2.1).
    pub(crate) supported_version: Option<ProtocolVersion>,
    /// The group to send a share of (section 4.2.8).
    pub(crate) selected_group: Option<NamedGroup>,
    /// To be returned (section 4.2.2).
    pub(crate) cookie: Option<Vec<u8>>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

impl From<ServerHello> for ServerHelloMessage {
    fn from(hello: ServerHello) -> Self {
        Self::Hello(hello)
    }
}

impl From<HelloRetryRequest> for ServerHelloMessage {
    fn from(retry: HelloRetryRequest) -> Self {
        Self::Retry(retry)
    }
}

impl ServerHello {
    /// The version that the server chose, before anyone checked it.
    pub(crate) fn version(&self) -> ProtocolVersion {
        self.extensions.supported_version.unwrap_or(self.legacy_version)
    }

    /// What the end of the random says that was negotiated by a server that could do better (section 4.1.3): TLS 1.2,
    /// or TLS 1.1 for that and all older ones. `None` if it says nothing.
    pub(crate) fn downgrade_sentinel(&self) -> Option<ProtocolVersion> {
        match self.random.last_chunk::<8>() {
            Some(&DOWNGRADE_TO_TLS12) => Some(ProtocolVersion::TLS12),
            Some(&DOWNGRADE_TO_TLS11) => Some(ProtocolVersion::TLS11),
            _ => None,
        }
    }
}

impl Message for ServerHelloMessage {
    const TYPE: HandshakeType = HandshakeType::SERVER_HELLO;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let legacy_version = ProtocolVersion(body.u16("legacy_version")?);
        let random = body.array("random")?;
        let session_id = read_session_id(body, "legacy_session_id_echo")?;
        let cipher_suite = CipherSuite(body.u16("cipher_suite")?);
        let method = body.clone();
        let is_compressed = body.u8("legacy_compression_method")? != 0;
        // A server of TLS 1.2 may send no block at all (RFC 5246 7.4.1.3).
        let block = if body.is_empty() {
            body.clone()
        } else {
            body.vec16("extensions")?
        };
        if is_compressed {
            // A choice that was not offered in TLS 1.2; in TLS 1.3 the byte is 0 and means nothing.
            let is_tls13 = random == HELLO_RETRY_REQUEST_RANDOM
                || ServerExtensions::read(block).is_ok_and(|read| read.supported_version.is_some());
            let problem = match is_tls13 {
                true => Problem::NotConstant,
                false => Problem::IllegalValue,
            };
            return Err(method.error("legacy_compression_method", problem));
        }
        if random != HELLO_RETRY_REQUEST_RANDOM {
            let extensions = ServerExtensions::read(block)?;
            return Ok(Self::Hello(ServerHello {
                legacy_version,
                random,
                session_id,
                cipher_suite,
                extensions,
            }));
        }
        let mut retry = HelloRetryRequest {
            legacy_version,
            session_id,
            cipher_suite,
            supported_version: None,
            selected_group: None,
            cookie: None,
            extension_types: Vec::new(),
        };
        retry.read_extensions(block)?;
        Ok(Self::Retry(retry))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => {
                put_fixed(
                    out,
                    hello.legacy_version,
                    &hello.random,
                    &hello.session_id,
                    hello.cipher_suite,
                );
                hello.extensions.put(&mut Prefixed16::new(out));
            }
            Self::Retry(retry) => {
                let random = &HELLO_RETRY_REQUEST_RANDOM;
                put_fixed(
                    out,
                    retry.legacy_version,
                    random,
                    &retry.session_id,
                    retry.cipher_suite,
                );
                retry.put_extensions(&mut Prefixed16::new(out));
            }
        }
    }
}

fn put_fixed(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    random: &[u8; 32],
    session_id: &SessionId,
    cipher_suite: CipherSuite,
) {
    out.put_u16(version);
    out.put(random);
    Prefixed8::new(out).put(session_id);
    out.put_u16(cipher_suite);
    out.put_u8(0);
}

impl HelloRetryRequest {
    fn read_extensions(&mut self, block: Reader<'_>) -> Result<(), BadBytes> {
        use ExtensionType as E;
        let types = read_extensions(block, |extension, body| {
            match extension {
                E::SUPPORTED_VERSIONS => {
                    self.supported_version = Some(ProtocolVersion(body.u16("selected_version")?));
                }
                E::KEY_SHARE => self.selected_group = Some(NamedGroup(body.u16("selected_group")?)),
                E::COOKIE => self.cookie = Some(body.vec16("cookie")?.not_empty("cookie")?.rest().to_vec()),
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        self.extension_types = types;
        Ok(())
    }

    fn put_extensions(&self, out: &mut Vec<u8>) {
        if let Some(version) = self.supported_version {
            extension(out, ExtensionType::SUPPORTED_VERSIONS, |out| out.put_u16(version));
        }
        if let Some(group) = self.selected_group {
            extension(out, ExtensionType::KEY_SHARE, |out| out.put_u16(group));
        }
        if let Some(cookie) = &self.cookie {
            extension(out, ExtensionType::COOKIE, |out| Prefixed16::new(out).put(cookie));
        }
    }
}

impl ServerExtensions {
    fn read(block: Reader<'_>) -> Result<Self, BadBytes> {
        use ExtensionType as E;
        let mut all = Self::default();
        let extension_types = read_extensions(block, |extension, body| {
            match extension {
                E::SUPPORTED_VERSIONS => {
                    all.supported_version = Some(ProtocolVersion(body.u16("selected_version")?));
                }
                E::KEY_SHARE => all.key_share = Some(KeyShareEntry::read(body)?),
                E::PRE_SHARED_KEY => all.pre_shared_key = Some(body.u16("selected_identity")?),
                E::SERVER_NAME => all.server_name = true,
                E::STATUS_REQUEST => all.status_request = true,
                E::EXTENDED_MAIN_SECRET => all.extended_main_secret = true,
                E::SESSION_TICKET => all.session_ticket = true,
                E::RENEGOTIATION_INFO => {
                    all.renegotiation_info = Some(body.vec8("renegotiated_connection")?.rest().to_vec());
                }
                E::EC_POINT_FORMATS => all.ec_point_formats = Some(PointFormats::read(body)?),
                E::ALPN => all.alpn = Some(alpn::read_selected(body)?),
                E::SIGNED_CERTIFICATE_TIMESTAMP => {
                    all.signed_certificate_timestamp = Some(read_timestamps(body)?);
                }
                E::RECORD_SIZE_LIMIT => all.record_size_limit = Some(read_record_size_limit(body)?),
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        all.extension_types = extension_types;
        Ok(all)
    }

    fn put(&self, out: &mut Vec<u8>) {
        use ExtensionType as E;
        if let Some(version) = self.supported_version {
            extension(out, E::SUPPORTED_VERSIONS, |out| out.put_u16(version));
        }
        if let Some(share) = &self.key_share {
            extension(out, E::KEY_SHARE, |out| share.put(out));
        }
        if let Some(index) = self.pre_shared_key {
            extension(out, E::PRE_SHARED_KEY, |out| out.put_u16(index));
        }
        flag(out, self.server_name, E::SERVER_NAME);
        flag(out, self.status_request, E::STATUS_REQUEST);
        flag(out, self.extended_main_secret, E::EXTENDED_MAIN_SECRET);
        flag(out, self.session_ticket, E::SESSION_TICKET);
        if let Some(connection) = &self.renegotiation_info {
            extension(out, E::RENEGOTIATION_INFO, |out| {
                Prefixed8::new(out).put(connection)
            });
        }
        if let Some(formats) = self.ec_point_formats {
            formats.put(out);
        }
        if let Some(name) = &self.alpn {
            alpn::put_selected(out, name);
        }
        if let Some(list) = &self.signed_certificate_timestamp {
            extension(out, E::SIGNED_CERTIFICATE_TIMESTAMP, |out| out.put(list));
        }
        if let Some(limit) = self.record_size_limit {
            extension(out, E::RECORD_SIZE_LIMIT, |out| out.put_u16(limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_body, check_message, hex};
    use super::*;
    use crate::messages::decode_message;

    /// RFC 8448 section 3, without the header.
    const TRACE: &str = "
        0303 a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928 00 1301 00 002e
        0033 0024 001d 0020 c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f  002b 0002 0304";

    fn hello(extensions: ServerExtensions) -> ServerHello {
        ServerHello {
            legacy_version: ProtocolVersion::TLS12,
            random: [7; 32],
            session_id: SessionId::from([8; 32]),
            cipher_suite: CipherSuite::TLS_AES_128_GCM_SHA256,
            extensions,
        }
    }

    fn retry() -> HelloRetryRequest {
        HelloRetryRequest {
            legacy_version: ProtocolVersion::TLS12,
            session_id: SessionId::EMPTY,
            cipher_suite: CipherSuite::TLS_AES_128_GCM_SHA256,
            supported_version: Some(ProtocolVersion::TLS13),
            selected_group: Some(NamedGroup::X25519),
            cookie: Some(vec![1, 2, 3]),
            extension_types: [43, 51, 44].map(ExtensionType).to_vec(),
        }
    }

    #[test]
    fn a_hello_of_tls13_is_read_as_it_was_written() {
        let share = KeyShareEntry {
            group: NamedGroup::X25519,
            key_exchange: vec![3; 32],
        };
        let message = hello(ServerExtensions {
            supported_version: Some(ProtocolVersion::TLS13),
            key_share: Some(share),
            pre_shared_key: Some(1),
            extension_types: [43, 51, 41].map(ExtensionType).to_vec(),
            ..ServerExtensions::default()
        });
        assert_eq!(message.version(), ProtocolVersion::TLS13);
        check_message(&ServerHelloMessage::from(message), &[70]);
    }

    #[test]
    fn a_hello_of_tls12_is_read_as_it_was_written() {
        let message = hello(ServerExtensions {
            server_name: true,
            status_request: true,
            extended_main_secret: true,
            session_ticket: true,
            renegotiation_info: Some(Vec::new()),
            ec_point_formats: Some(PointFormats { uncompressed: true }),
            alpn: Some(b"h2".to_vec()),
            signed_certificate_timestamp: Some(vec![0, 3, 0, 1, 9]),
            record_size_limit: Some(16384),
            extension_types: [0, 5, 23, 35, 0xff01, 11, 16, 18, 28].map(ExtensionType).to_vec(),
            ..ServerExtensions::default()
        });
        assert_eq!(message.version(), ProtocolVersion::TLS12);
        check_message(&ServerHelloMessage::from(message), &[70]);
    }

    #[test]
    fn a_retry_is_known_by_its_random_and_read_as_it_was_written() {
        let message = ServerHelloMessage::from(retry());
        assert!(matches!(message, ServerHelloMessage::Retry(_)));
        check_message(&message, &[38]);
        let bare = HelloRetryRequest {
            supported_version: None,
            selected_group: None,
            cookie: None,
            extension_types: Vec::new(),
            ..retry()
        };
        check_message(&ServerHelloMessage::from(bare), &[38]);
    }

    #[test]
    fn the_message_of_the_trace_has_the_fields_that_the_rfc_says() {
        let body = hex(TRACE);
        assert_eq!(body.len(), 86);
        check_body::<ServerHelloMessage>(&body, &[38]);
        let ServerHelloMessage::Hello(hello) = decode_message(&body).unwrap() else {
            panic!("not a HelloRetryRequest")
        };
        assert_eq!(hello.version(), ProtocolVersion::TLS13);
        assert_eq!(hello.cipher_suite, CipherSuite::TLS_AES_128_GCM_SHA256);
        assert_eq!(hello.extensions.key_share.unwrap().group, NamedGroup::X25519);
        assert_eq!(hello.extensions.extension_types, [51, 43].map(ExtensionType));
        assert!(hello.session_id.is_empty());
    }

    #[test]
    fn a_compression_method_is_illegal_in_tls12_and_no_such_thing_in_tls13() {
        let mut retry_body = Vec::new();
        ServerHelloMessage::from(retry()).encode(&mut retry_body);
        let retry_at = 37 + retry().session_id.len();
        let mut of_tls12 = Vec::new();
        ServerHelloMessage::from(hello(ServerExtensions::default())).encode(&mut of_tls12);
        for (mut body, at, problem) in [
            (hex(TRACE), 37, Problem::NotConstant),
            (retry_body, retry_at, Problem::NotConstant),
            (of_tls12, 69, Problem::IllegalValue),
        ] {
            assert_eq!(body[at], 0);
            body[at] = 1;
            let error = decode_message::<ServerHelloMessage>(&body).unwrap_err();
            assert_eq!(
                (error.field, error.offset, error.problem),
                ("legacy_compression_method", at, problem)
            );
        }
    }

    #[test]
    fn an_empty_cookie_and_a_duplicate_are_refused() {
        let read = |block: &str| {
            let mut body = Vec::new();
            ServerHelloMessage::from(retry()).encode(&mut body);
            body.truncate(38);
            Prefixed16::new(&mut body).put(&hex(block));
            decode_message::<ServerHelloMessage>(&body).map_err(|bad| bad.problem)
        };
        assert!(matches!(
            read("1a1a 0001 00").unwrap(),
            ServerHelloMessage::Retry(_)
        ));
        assert_eq!(read("002c 0002 0000"), Err(Problem::LengthOutOfBounds));
        assert_eq!(read("002b 0002 0304 002b 0002 0304"), Err(Problem::Duplicate));
    }

    #[test]
    fn timestamps_are_a_list_that_is_not_empty_nor_has_empty_ones() {
        let read = |list: &[u8]| {
            let extensions = ServerExtensions {
                signed_certificate_timestamp: Some(list.to_vec()),
                ..ServerExtensions::default()
            };
            let mut body = Vec::new();
            ServerHelloMessage::from(hello(extensions)).encode(&mut body);
            decode_message::<ServerHelloMessage>(&body).map_err(|bad| (bad.field, bad.problem))
        };
        assert!(read(&[0, 3, 0, 1, 9]).is_ok());
        let empty = Problem::LengthOutOfBounds;
        assert_eq!(read(&[0, 0]), Err(("sct_list", empty)));
        assert_eq!(read(&[0, 2, 0, 0]), Err(("SerializedSCT", empty)));
        let name = ExtensionType::SIGNED_CERTIFICATE_TIMESTAMP.name().unwrap();
        assert_eq!(read(&[0, 3, 0, 1, 9, 9]), Err((name, Problem::TrailingBytes)));
    }

    #[test]
    fn the_end_of_the_random_tells_of_a_downgrade() {
        let mut hello = hello(ServerExtensions::default());
        assert_eq!(hello.downgrade_sentinel(), None);
        hello.random[24..].copy_from_slice(b"DOWNGRD\x01");
        assert_eq!(hello.downgrade_sentinel(), Some(ProtocolVersion::TLS12));
        hello.random[31] = 0;
        assert_eq!(hello.downgrade_sentinel(), Some(ProtocolVersion::TLS11));
        hello.random[31] = 2;
        assert_eq!(hello.downgrade_sentinel(), None);
    }
}
