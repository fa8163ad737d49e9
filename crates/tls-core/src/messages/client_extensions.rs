//! The extensions of a ClientHello.

use crate::registry::{ExtensionType, NamedGroup, ProtocolVersion, PskKeyExchangeMode, SignatureScheme};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

use super::alpn::ProtocolNames;
use super::extensions::{self, PointFormats, code_points, extension, flag, put_code_points};
use super::key_share::{self, KeyShareEntry};
use super::pre_shared_key::OfferedPsks;
use super::server_name;

/// What a ClientHello says in its extensions. `None` and `false` stand for an extension that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientExtensions {
    /// The host name (RFC 6066 section 3), as it was sent. `None` also if only names of other types came.
    pub(crate) server_name: Option<String>,
    /// Groups for key exchange, most preferred first (section 4.2.7).
    pub(crate) supported_groups: Option<Vec<NamedGroup>>,
    /// Signature schemes for CertificateVerify, and for chains too unless the next field is there (section 4.2.3).
    pub(crate) signature_algorithms: Option<Vec<SignatureScheme>>,
    /// Signature schemes for chains (section 4.2.3).
    pub(crate) signature_algorithms_cert: Option<Vec<SignatureScheme>>,
    /// Application protocols (RFC 7301).
    pub(crate) alpn: Option<ProtocolNames>,
    /// Whether a stapled OCSP response is asked for (RFC 6066 section 8).
    pub(crate) status_request: bool,
    /// Whether signed certificate timestamps are asked for (RFC 6962 section 3.3.1).
    pub(crate) signed_certificate_timestamp: bool,
    /// Versions, most preferred first (section 4.2.1).
    pub(crate) supported_versions: Option<Vec<ProtocolVersion>>,
    /// Public keys for key exchange; the list may be empty (section 4.2.8).
    pub(crate) key_shares: Option<Vec<KeyShareEntry>>,
    /// How a PSK may be used (section 4.2.9).
    pub(crate) psk_key_exchange_modes: Option<PskModes>,
    /// The offered PSKs; the last extension (section 4.2.11).
    pub(crate) pre_shared_key: Option<OfferedPsks>,
    /// Whether early data follows (section 4.2.10).
    pub(crate) early_data: bool,
    /// The cookie of the HelloRetryRequest (section 4.2.2).
    pub(crate) cookie: Option<Vec<u8>>,
    /// DER names of the authorities the client trusts (section 4.2.4).
    pub(crate) certificate_authorities: Option<Vec<Vec<u8>>>,
    /// Whether the client would authenticate after the handshake (section 4.2.6).
    pub(crate) post_handshake_auth: bool,
    /// The largest plaintext record the client accepts, in bytes (RFC 8449).
    pub(crate) record_size_limit: Option<u16>,
    /// TLS 1.2: formats of points (RFC 8422 section 5.1.2).
    pub(crate) ec_point_formats: Option<PointFormats>,
    /// TLS 1.2: the main secret is bound to the transcript (RFC 7627). "extended_master_secret" there.
    pub(crate) extended_main_secret: bool,
    /// TLS 1.2: a ticket, or empty to ask for one (RFC 5077 section 3.2).
    pub(crate) session_ticket: Option<Vec<u8>>,
    /// TLS 1.2: empty in a first handshake (RFC 5746 section 3.2).
    pub(crate) renegotiation_info: Option<Vec<u8>>,
    /// Algorithms by which a Certificate may be compressed (RFC 8879 section 3).
    pub(crate) compress_certificate: Option<Vec<u16>>,
    /// How many tickets are wanted (RFC 9149).
    pub(crate) ticket_request: Option<TicketRequest>,
    /// Bytes of padding (RFC 7685).
    pub(crate) padding_len: Option<u16>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

/// Which uses of a PSK the client accepts (section 4.2.9); other modes are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PskModes {
    /// The PSK alone.
    pub(crate) psk_ke: bool,
    /// The PSK and a key exchange.
    pub(crate) psk_dhe_ke: bool,
}

/// How many tickets a client wants (RFC 9149 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TicketRequest {
    /// If the server makes a new session.
    pub(crate) new_session_count: u8,
    /// If it resumes one.
    pub(crate) resumption_count: u8,
}

impl ClientExtensions {
    pub(super) fn read(block: Reader<'_>) -> Result<Self, BadBytes> {
        let mut all = Self::default();
        let extension_types = extensions::read_extensions(block, |extension, body| {
            // Section 4.2.11: the binders cover all that stands before them, so nothing may stand behind.
            if all.pre_shared_key.is_some() {
                return Err(body.error("pre_shared_key", Problem::IllegalValue));
            }
            all.read_one(extension, body)
        })?;
        all.extension_types = extension_types;
        Ok(all)
    }

    fn read_one(&mut self, extension: ExtensionType, body: &mut Reader<'_>) -> Result<(), BadBytes> {
        use ExtensionType as E;
        match extension {
            E::SERVER_NAME => self.server_name = server_name::read(body)?,
            E::SUPPORTED_GROUPS => self.supported_groups = Some(code_points(body, "named_group_list")?),
            E::SIGNATURE_ALGORITHMS => {
                self.signature_algorithms = Some(code_points(body, "supported_signature_algorithms")?);
            }
            E::SIGNATURE_ALGORITHMS_CERT => {
                self.signature_algorithms_cert = Some(code_points(body, "supported_signature_algorithms")?);
            }
            E::ALPN => self.alpn = Some(ProtocolNames::read(body)?),
            E::STATUS_REQUEST => self.status_request = extensions::read_status_request(body)?,
            E::SIGNED_CERTIFICATE_TIMESTAMP => self.signed_certificate_timestamp = true,
            E::SUPPORTED_VERSIONS => {
                let versions = body.vec8("versions")?.not_empty("versions")?;
                self.supported_versions = Some(versions.list_u16("versions")?);
            }
            E::KEY_SHARE => self.key_shares = Some(key_share::read_client_shares(body)?),
            E::PSK_KEY_EXCHANGE_MODES => self.psk_key_exchange_modes = Some(PskModes::read(body)?),
            E::PRE_SHARED_KEY => self.pre_shared_key = Some(OfferedPsks::read(body)?),
            E::EARLY_DATA => self.early_data = true,
            E::COOKIE => self.cookie = Some(body.vec16("cookie")?.not_empty("cookie")?.rest().to_vec()),
            E::CERTIFICATE_AUTHORITIES => {
                self.certificate_authorities = Some(extensions::read_authorities(body)?);
            }
            E::POST_HANDSHAKE_AUTH => self.post_handshake_auth = true,
            E::RECORD_SIZE_LIMIT => self.record_size_limit = Some(extensions::read_record_size_limit(body)?),
            E::EC_POINT_FORMATS => self.ec_point_formats = Some(PointFormats::read(body)?),
            E::EXTENDED_MAIN_SECRET => self.extended_main_secret = true,
            E::SESSION_TICKET => self.session_ticket = Some(body.rest().to_vec()),
            E::RENEGOTIATION_INFO => {
                self.renegotiation_info = Some(body.vec8("renegotiated_connection")?.rest().to_vec());
            }
            E::COMPRESS_CERTIFICATE => {
                let algorithms = body.vec8("algorithms")?.not_empty("algorithms")?;
                self.compress_certificate = Some(algorithms.list_u16("algorithms")?);
            }
            E::TICKET_REQUEST => {
                self.ticket_request = Some(TicketRequest {
                    new_session_count: body.u8("new_session_count")?,
                    resumption_count: body.u8("resumption_count")?,
                });
            }
            E::PADDING => self.padding_len = Some(body.rest().len().try_into().unwrap_or(u16::MAX)),
            _ => drop(body.rest()),
        }
        Ok(())
    }

    /// Appends the extensions, without the length of the block.
    ///
    /// The order is fixed: first those that are empty or short, then the lists, then the ones that grow, and
    /// pre_shared_key at the end as section 4.2.11 demands. Some old servers fail on an empty last extension, so the
    /// last ones before it are never empty.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        use ExtensionType as E;
        if let Some(host) = &self.server_name {
            server_name::put(out, host);
        }
        flag(out, self.extended_main_secret, E::EXTENDED_MAIN_SECRET);
        flag(
            out,
            self.signed_certificate_timestamp,
            E::SIGNED_CERTIFICATE_TIMESTAMP,
        );
        flag(out, self.post_handshake_auth, E::POST_HANDSHAKE_AUTH);
        flag(out, self.early_data, E::EARLY_DATA);
        if let Some(connection) = &self.renegotiation_info {
            extension(out, E::RENEGOTIATION_INFO, |out| {
                Prefixed8::new(out).put(connection)
            });
        }
        if let Some(ticket) = &self.session_ticket {
            extension(out, E::SESSION_TICKET, |out| out.put(ticket));
        }
        if self.status_request {
            extensions::put_status_request(out);
        }
        if let Some(formats) = self.ec_point_formats {
            formats.put(out);
        }
        if let Some(limit) = self.record_size_limit {
            extension(out, E::RECORD_SIZE_LIMIT, |out| out.put_u16(limit));
        }
        if let Some(counts) = self.ticket_request {
            extension(out, E::TICKET_REQUEST, |out| {
                out.put(&[counts.new_session_count, counts.resumption_count]);
            });
        }
        if let Some(modes) = self.psk_key_exchange_modes {
            extension(out, E::PSK_KEY_EXCHANGE_MODES, |out| modes.put(out));
        }
        if let Some(algorithms) = &self.compress_certificate {
            extension(out, E::COMPRESS_CERTIFICATE, |out| {
                put_short_list(out, algorithms)
            });
        }
        if let Some(versions) = &self.supported_versions {
            extension(out, E::SUPPORTED_VERSIONS, |out| put_short_list(out, versions));
        }
        if let Some(groups) = &self.supported_groups {
            extension(out, E::SUPPORTED_GROUPS, |out| put_code_points(out, groups));
        }
        if let Some(schemes) = &self.signature_algorithms {
            extension(out, E::SIGNATURE_ALGORITHMS, |out| put_code_points(out, schemes));
        }
        if let Some(schemes) = &self.signature_algorithms_cert {
            extension(out, E::SIGNATURE_ALGORITHMS_CERT, |out| {
                put_code_points(out, schemes)
            });
        }
        if let Some(protocols) = &self.alpn {
            protocols.put(out);
        }
        if let Some(names) = &self.certificate_authorities {
            extension(out, E::CERTIFICATE_AUTHORITIES, |out| {
                extensions::put_authorities(out, names)
            });
        }
        if let Some(cookie) = &self.cookie {
            extension(out, E::COOKIE, |out| Prefixed16::new(out).put(cookie));
        }
        if let Some(len) = self.padding_len {
            extension(out, E::PADDING, |out| {
                out.extend(core::iter::repeat_n(0, len.into()))
            });
        }
        if let Some(shares) = &self.key_shares {
            extension(out, E::KEY_SHARE, |out| key_share::put_client_shares(out, shares));
        }
        if let Some(psks) = &self.pre_shared_key {
            extension(out, E::PRE_SHARED_KEY, |out| psks.put(out));
        }
    }

    /// Whether this extension is among the fields: what was offered, for checking the server's answers.
    pub(crate) fn contains(&self, extension: ExtensionType) -> bool {
        use ExtensionType as E;
        match extension {
            E::SERVER_NAME => self.server_name.is_some(),
            E::SUPPORTED_GROUPS => self.supported_groups.is_some(),
            E::SIGNATURE_ALGORITHMS => self.signature_algorithms.is_some(),
            E::SIGNATURE_ALGORITHMS_CERT => self.signature_algorithms_cert.is_some(),
            E::ALPN => self.alpn.is_some(),
            E::STATUS_REQUEST => self.status_request,
            E::SIGNED_CERTIFICATE_TIMESTAMP => self.signed_certificate_timestamp,
            E::SUPPORTED_VERSIONS => self.supported_versions.is_some(),
            E::KEY_SHARE => self.key_shares.is_some(),
            E::PSK_KEY_EXCHANGE_MODES => self.psk_key_exchange_modes.is_some(),
            E::PRE_SHARED_KEY => self.pre_shared_key.is_some(),
            E::EARLY_DATA => self.early_data,
            E::COOKIE => self.cookie.is_some(),
            E::CERTIFICATE_AUTHORITIES => self.certificate_authorities.is_some(),
            E::POST_HANDSHAKE_AUTH => self.post_handshake_auth,
            E::RECORD_SIZE_LIMIT => self.record_size_limit.is_some(),
            E::EC_POINT_FORMATS => self.ec_point_formats.is_some(),
            E::EXTENDED_MAIN_SECRET => self.extended_main_secret,
            E::SESSION_TICKET => self.session_ticket.is_some(),
            E::RENEGOTIATION_INFO => self.renegotiation_info.is_some(),
            E::COMPRESS_CERTIFICATE => self.compress_certificate.is_some(),
            E::TICKET_REQUEST => self.ticket_request.is_some(),
            E::PADDING => self.padding_len.is_some(),
            _ => false,
        }
    }
}

/// Appends a list of 16-bit code points with a one-byte length.
fn put_short_list<T: Copy + Into<u16>>(out: &mut Vec<u8>, list: &[T]) {
    let mut out = Prefixed8::new(out);
    for code in list {
        out.put_u16(*code);
    }
}

/// A mode of those that GREASE keeps free (RFC 8701 section 2).
const UNKNOWN_PSK_MODE: u8 = 0x0b;

impl PskModes {
    fn read(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let modes = body.vec8("ke_modes")?.not_empty("ke_modes")?.rest();
        Ok(Self {
            psk_ke: modes.contains(&PskKeyExchangeMode::PSK_KE.0),
            psk_dhe_ke: modes.contains(&PskKeyExchangeMode::PSK_DHE_KE.0),
        })
    }

    fn put(self, out: &mut Vec<u8>) {
        let mut list = Prefixed8::new(out);
        if self.psk_dhe_ke {
            list.put_u8(PskKeyExchangeMode::PSK_DHE_KE);
        }
        if self.psk_ke {
            list.put_u8(PskKeyExchangeMode::PSK_KE);
        }
        if self == Self::default() {
            // The list may not be empty. Only tests write one of modes that we do not know.
            list.put_u8(UNKNOWN_PSK_MODE);
        }
    }
}
