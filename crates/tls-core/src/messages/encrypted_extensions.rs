//! EncryptedExtensions (section 4.3.1).

use crate::registry::{ExtensionType, HandshakeType, NamedGroup};
use crate::wire::{BadBytes, Prefixed16, Put, Reader};

use super::extensions::{code_points, extension, flag, read_extensions, read_record_size_limit};
use super::{Message, alpn};

/// The server's answers that need not be in the clear. `None` and `false` stand for an extension that is not there.
/// A list of supported_groups is checked and then ignored: it would be of use for later connections only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncryptedExtensions {
    /// The server name was used (RFC 6066 section 3).
    pub(crate) server_name: bool,
    /// The application protocol that was chosen (RFC 7301).
    pub(crate) alpn: Option<Vec<u8>>,
    /// Early data was accepted (section 4.2.10).
    pub(crate) early_data: bool,
    /// The largest plaintext record the server accepts, in bytes (RFC 8449).
    pub(crate) record_size_limit: Option<u16>,
    /// How many tickets will come (RFC 9149 section 3).
    pub(crate) ticket_request: Option<u8>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

impl Message for EncryptedExtensions {
    const TYPE: HandshakeType = HandshakeType::ENCRYPTED_EXTENSIONS;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        use ExtensionType as E;
        let mut all = Self::default();
        let extension_types = read_extensions(body.vec16("extensions")?, |extension, body| {
            match extension {
                E::SERVER_NAME => all.server_name = true,
                E::ALPN => all.alpn = Some(alpn::read_selected(body)?),
                E::SUPPORTED_GROUPS => drop(code_points::<NamedGroup>(body, "named_group_list")?),
                E::EARLY_DATA => all.early_data = true,
                E::RECORD_SIZE_LIMIT => all.record_size_limit = Some(read_record_size_limit(body)?),
                E::TICKET_REQUEST => all.ticket_request = Some(body.u8("expected_count")?),
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        all.extension_types = extension_types;
        Ok(all)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut block = Prefixed16::new(out);
        flag(&mut block, self.server_name, ExtensionType::SERVER_NAME);
        if let Some(name) = &self.alpn {
            alpn::put_selected(&mut block, name);
        }
        flag(&mut block, self.early_data, ExtensionType::EARLY_DATA);
        if let Some(limit) = self.record_size_limit {
            extension(&mut block, ExtensionType::RECORD_SIZE_LIMIT, |out| {
                out.put_u16(limit)
            });
        }
        if let Some(count) = self.ticket_request {
            extension(&mut block, ExtensionType::TICKET_REQUEST, |out| out.put_u8(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_message, hex};
    use super::*;
    use crate::messages::decode_message;
    use crate::wire::Problem;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(&EncryptedExtensions::default(), &[]);
        check_message(
            &EncryptedExtensions {
                server_name: true,
                alpn: Some(b"h2".to_vec()),
                early_data: true,
                record_size_limit: Some(16385),
                ticket_request: Some(2),
                extension_types: [0, 16, 42, 28, 58].map(ExtensionType).to_vec(),
            },
            &[],
        );
    }

    /// RFC 8448 section 3; the groups are checked and ignored.
    #[test]
    fn the_message_of_the_trace_is_read() {
        let body =
            hex("0022 000a 0014 0012 001d 0017 0018 0019 0100 0101 0102 0103 0104 001c 0002 4001 0000 0000");
        let message: EncryptedExtensions = decode_message(&body).unwrap();
        assert!(message.server_name && !message.early_data);
        assert_eq!(message.record_size_limit, Some(0x4001));
        assert_eq!(message.extension_types, [10, 28, 0].map(ExtensionType));
    }

    #[test]
    fn two_protocols_or_a_nonempty_flag_are_refused() {
        let problem = |body: &str| {
            decode_message::<EncryptedExtensions>(&hex(body))
                .unwrap_err()
                .problem
        };
        assert_eq!(
            problem("000a 0010 0006 0004 0161 0162"),
            Problem::LengthOutOfBounds
        );
        assert_eq!(problem("0005 0000 0001 00"), Problem::TrailingBytes);
        assert_eq!(problem("0008 0000 0000 0000 0000"), Problem::Duplicate);
    }
}
