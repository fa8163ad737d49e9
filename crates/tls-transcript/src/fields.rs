//! Handshake messages taken apart into named fields with their places, for people to read and to find a byte in.

use std::fmt::Display;

use tls_core::{
    CipherSuite, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion, PskKeyExchangeMode,
    SignatureScheme, is_grease,
};

use super::hex;

/// The random of a HelloRetryRequest begins so.
const RETRY: [u8; 4] = [0xcf, 0x21, 0xad, 0x74];
/// Bytes that are shown of something opaque.
const SHOWN: usize = 16;

/// A part of a message.
///
/// ```
/// use tls_transcript::fields::fields;
///
/// // A ServerHelloDone: a header and nothing else.
/// let parts = fields(&[14, 0, 0, 0], false);
/// assert!(parts.iter().all(|part| part.name != "malformed"), "{parts:?}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it begins, from the beginning of the message.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// How deep it lies in others.
    pub depth: usize,
    /// What it is.
    pub name: String,
    /// Its value, as people read it.
    pub value: String,
}

/// The fields of a handshake message, header included. The last one says so where the bytes are not as they should be.
#[must_use]
pub fn fields(message: &[u8], is_tls13: bool) -> Vec<Field> {
    let mut reader = Reader {
        bytes: message,
        at: 0,
        depth: 0,
        fields: Vec::new(),
    };
    if reader.message(is_tls13).is_none() || reader.at != message.len() {
        let rest = message.len().saturating_sub(reader.at);
        let at = reader.at;
        reader.add(at, message.len(), "malformed", &format!("{rest} bytes from here"));
    }
    reader.fields
}

/// Whether this is a HelloRetryRequest.
#[must_use]
pub fn is_retry(message: &[u8]) -> bool {
    message.first() == Some(&2) && message.get(6..10) == Some(&RETRY)
}

/// The types of the extensions of a hello or EncryptedExtensions, by [`fields`].
#[must_use]
pub fn has_extension(fields: &[Field], extension: ExtensionType) -> bool {
    let name = format!("extension {extension}");
    fields.iter().any(|field| field.name == name)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    fields: Vec<Field>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, start: usize, end: usize, name: &str, value: &str) {
        self.fields.push(Field {
            start,
            end,
            depth: self.depth,
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn number(&mut self, len: usize) -> Option<usize> {
        let bytes = self.take(len)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    }

    /// A vector with a length of so many bytes in front.
    fn vector(&mut self, prefix: usize) -> Option<&'a [u8]> {
        let len = self.number(prefix)?;
        self.take(len)
    }

    /// A field of so many bytes, shown as a number.
    fn uint(&mut self, len: usize, name: &str) -> Option<usize> {
        let start = self.at;
        let value = self.number(len)?;
        self.add(start, self.at, name, &value.to_string());
        Some(value)
    }

    fn opaque(&mut self, len: usize, name: &str) -> Option<()> {
        let start = self.at;
        let value = shown(self.take(len)?);
        self.add(start, self.at, name, &value);
        Some(())
    }

    fn opaque_vector(&mut self, prefix: usize, name: &str) -> Option<()> {
        let start = self.at;
        let value = shown(self.vector(prefix)?);
        self.add(start, self.at, name, &value);
        Some(())
    }

    /// A code point of two bytes.
    fn code<T: From<u16> + Display>(&mut self, name: &str) -> Option<()> {
        let start = self.at;
        let code = self.number(2)?;
        self.add(start, self.at, name, &code_name::<T>(code));
        Some(())
    }

    /// A list of code points.
    fn codes<T: From<u16> + Display>(&mut self, prefix: usize, name: &str) -> Option<()> {
        let start = self.at;
        let codes = self.vector(prefix)?.chunks(2).map(|code| {
            let code = code
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte));
            code_name::<T>(code)
        });
        let codes: Vec<_> = codes.collect();
        self.add(start, self.at, name, &codes.join(" "));
        Some(())
    }

    fn message(&mut self, is_tls13: bool) -> Option<()> {
        let message_type = HandshakeType(u8::try_from(self.number(1)?).ok()?);
        let len = self.number(3)?;
        let name = match message_type {
            _ if is_retry(self.bytes) => "HelloRetryRequest".to_owned(),
            other => other.to_string(),
        };
        self.add(0, 4, &name, &format!("{len} bytes"));
        self.depth = 1;
        match message_type {
            HandshakeType::CLIENT_HELLO => self.client_hello(),
            HandshakeType::SERVER_HELLO => self.server_hello(),
            HandshakeType::NEW_SESSION_TICKET if is_tls13 => {
                self.uint(4, "ticket_lifetime")?;
                self.uint(4, "ticket_age_add")?;
                self.opaque_vector(1, "ticket_nonce")?;
                self.opaque_vector(2, "ticket")?;
                self.extensions(message_type)
            }
            HandshakeType::NEW_SESSION_TICKET => {
                self.uint(4, "ticket_lifetime_hint")?;
                self.opaque_vector(2, "ticket")
            }
            HandshakeType::ENCRYPTED_EXTENSIONS => self.extensions(message_type),
            HandshakeType::CERTIFICATE => self.certificate(is_tls13),
            HandshakeType::CERTIFICATE_REQUEST if is_tls13 => {
                self.opaque_vector(1, "certificate_request_context")?;
                self.extensions(message_type)
            }
            HandshakeType::CERTIFICATE_REQUEST => {
                self.opaque_vector(1, "certificate_types")?;
                self.codes::<SignatureScheme>(2, "supported_signature_algorithms")?;
                self.opaque_vector(2, "certificate_authorities")
            }
            HandshakeType::CERTIFICATE_VERIFY => {
                self.code::<SignatureScheme>("algorithm")?;
                self.opaque_vector(2, "signature")
            }
            HandshakeType::SERVER_KEY_EXCHANGE => {
                self.uint(1, "curve_type")?;
                self.code::<NamedGroup>("named_curve")?;
                self.opaque_vector(1, "public")?;
                self.code::<SignatureScheme>("algorithm")?;
                self.opaque_vector(2, "signature")
            }
            HandshakeType::CLIENT_KEY_EXCHANGE => self.opaque_vector(1, "public"),
            HandshakeType::FINISHED => self.opaque(len, "verify_data"),
            HandshakeType::KEY_UPDATE => {
                let start = self.at;
                let request = self.number(1)?;
                let request = ["update_not_requested", "update_requested"].get(request);
                self.add(start, self.at, "request_update", request.unwrap_or(&"unknown"));
                Some(())
            }
            _ if len == 0 => Some(()),
            _ => self.opaque(len, "body"),
        }
    }

    fn client_hello(&mut self) -> Option<()> {
        self.code::<ProtocolVersion>("legacy_version")?;
        self.opaque(32, "random")?;
        self.opaque_vector(1, "legacy_session_id")?;
        self.codes::<CipherSuite>(2, "cipher_suites")?;
        self.opaque_vector(1, "legacy_compression_methods")?;
        match self.at == self.bytes.len() {
            true => Some(()),
            false => self.extensions(HandshakeType::CLIENT_HELLO),
        }
    }

    fn server_hello(&mut self) -> Option<()> {
        self.code::<ProtocolVersion>("legacy_version")?;
        self.opaque(32, "random")?;
        self.opaque_vector(1, "legacy_session_id_echo")?;
        self.code::<CipherSuite>("cipher_suite")?;
        self.uint(1, "legacy_compression_method")?;
        match self.at == self.bytes.len() {
            true => Some(()),
            false => self.extensions(HandshakeType::SERVER_HELLO),
        }
    }

    fn certificate(&mut self, is_tls13: bool) -> Option<()> {
        if is_tls13 {
            self.opaque_vector(1, "certificate_request_context")?;
        }
        let len = self.uint(3, "certificate_list length")?;
        let end = self.at.checked_add(len)?;
        self.depth += 1;
        while self.at < end {
            let start = self.at;
            let certificate = self.vector(3)?;
            let (names, len) = (common_names(certificate).join(" issued by "), certificate.len());
            self.add(start, self.at, "certificate", &format!("{len} bytes, {names}"));
            if is_tls13 {
                self.extensions(HandshakeType::CERTIFICATE)?;
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn extensions(&mut self, message: HandshakeType) -> Option<()> {
        let len = self.uint(2, "extensions length")?;
        let end = self.at.checked_add(len)?;
        self.depth += 1;
        while self.at < end {
            let start = self.at;
            let code = u16::try_from(self.number(2)?).ok()?;
            let len = self.number(2)?;
            let name = format!("extension {}", code_name::<ExtensionType>(usize::from(code)));
            self.add(start, self.at, &name, &format!("{len} bytes"));
            self.depth += 1;
            let end = self.at.checked_add(len)?;
            if len > 0 && self.extension(ExtensionType(code), message, end).is_none() {
                // Known, but not in this form.
                self.opaque(end.checked_sub(self.at)?, "contents")?;
            }
            if self.at < end {
                self.opaque(end - self.at, "contents")?;
            }
            self.depth -= 1;
        }
        self.depth -= 1;
        Some(())
    }

    /// The contents of an extension; what it leaves is shown as opaque.
    fn extension(&mut self, extension: ExtensionType, message: HandshakeType, end: usize) -> Option<()> {
        let from_client = message == HandshakeType::CLIENT_HELLO;
        match extension {
            ExtensionType::SERVER_NAME if from_client => {
                let start = self.at;
                self.number(2)?;
                self.number(1)?;
                let name = String::from_utf8_lossy(self.vector(2)?).into_owned();
                self.add(start, self.at, "host_name", &name);
            }
            ExtensionType::SUPPORTED_GROUPS => self.codes::<NamedGroup>(2, "groups")?,
            ExtensionType::SIGNATURE_ALGORITHMS | ExtensionType::SIGNATURE_ALGORITHMS_CERT => {
                self.codes::<SignatureScheme>(2, "schemes")?;
            }
            ExtensionType::ALPN => {
                self.number(2)?;
                while self.at < end {
                    let start = self.at;
                    let name = String::from_utf8_lossy(self.vector(1)?).into_owned();
                    self.add(start, self.at, "protocol", &name);
                }
            }
            ExtensionType::SUPPORTED_VERSIONS if from_client => {
                self.codes::<ProtocolVersion>(1, "versions")?;
            }
            ExtensionType::SUPPORTED_VERSIONS => self.code::<ProtocolVersion>("version")?,
            ExtensionType::KEY_SHARE => {
                if from_client {
                    self.uint(2, "client_shares length")?;
                }
                while self.at < end {
                    self.code::<NamedGroup>("group")?;
                    if self.at < end {
                        self.opaque_vector(2, "key_exchange")?;
                    }
                }
            }
            ExtensionType::PSK_KEY_EXCHANGE_MODES => {
                let start = self.at;
                let modes = self.vector(1)?.iter();
                let modes: Vec<_> = modes.map(|mode| PskKeyExchangeMode(*mode).to_string()).collect();
                self.add(start, self.at, "modes", &modes.join(" "));
            }
            ExtensionType::PRE_SHARED_KEY if from_client => {
                let len = self.number(2)?;
                let identities = self.at.checked_add(len)?;
                while self.at < identities {
                    self.opaque_vector(2, "identity")?;
                    self.uint(4, "obfuscated_ticket_age")?;
                }
                self.number(2)?;
                while self.at < end {
                    self.opaque_vector(1, "binder")?;
                }
            }
            ExtensionType::PRE_SHARED_KEY => self.uint(2, "selected_identity").map(|_| ())?,
            ExtensionType::EARLY_DATA => self.uint(4, "max_early_data_size").map(|_| ())?,
            ExtensionType::COOKIE => self.opaque_vector(2, "cookie")?,
            ExtensionType::RENEGOTIATION_INFO => self.opaque_vector(1, "renegotiated_connection")?,
            _ => {}
        }
        Some(())
    }
}

fn code_name<T: From<u16> + Display>(code: usize) -> String {
    match u16::try_from(code) {
        Ok(code) if is_grease(code) => format!("GREASE({code:#06x})"),
        Ok(code) => T::from(code).to_string(),
        Err(_) => code.to_string(),
    }
}

/// Something opaque: its length, and how it begins.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    match bytes.split_at_checked(SHOWN) {
        _ if bytes.is_empty() => "empty".to_owned(),
        Some((first, rest)) if rest.len() > SHOWN => format!("{} bytes, {}..", bytes.len(), hex(first)),
        _ => hex(bytes),
    }
}

/// The common names in a certificate: the issuer's comes first in its bytes, so they are turned round.
fn common_names(certificate: &[u8]) -> Vec<String> {
    /// The object identifier 2.5.4.3.
    const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    let names = certificate.windows(COMMON_NAME.len()).enumerate();
    let names = names
        .filter(|(_, window)| *window == COMMON_NAME)
        .filter_map(|(at, _)| {
            let rest = certificate.get(at + COMMON_NAME.len() + 1..)?;
            let (len, rest) = rest.split_first()?;
            Some(String::from_utf8_lossy(rest.get(..usize::from(*len))?).into_owned())
        });
    let mut names: Vec<_> = names.take(2).collect();
    names.reverse();
    names
}
