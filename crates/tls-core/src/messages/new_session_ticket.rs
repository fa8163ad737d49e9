//! NewSessionTicket of TLS 1.3 (section 4.6.1).

use crate::registry::{ExtensionType, HandshakeType};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Put, Reader};

use super::Message;
use super::extensions::{extension, read_extensions};

/// A ticket to resume the session with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSessionTicket {
    /// Seconds for which it may be used from now on: at most 604,800 (which is for the client to enforce), 0 for
    /// not at all.
    pub(crate) lifetime: u32,
    /// Random; added to the age of the ticket in milliseconds.
    pub(crate) age_add: u32,
    /// What tells this ticket's PSK from others of the connection.
    pub(crate) nonce: Vec<u8>,
    /// The ticket itself; at least one byte.
    pub(crate) ticket: Vec<u8>,
    /// Bytes of early data that may be sent with it; `None` for no early data at all.
    pub(crate) max_early_data_size: Option<u32>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

impl Message for NewSessionTicket {
    const TYPE: HandshakeType = HandshakeType::NEW_SESSION_TICKET;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let lifetime = body.u32("ticket_lifetime")?;
        let age_add = body.u32("ticket_age_add")?;
        let nonce = body.vec8("ticket_nonce")?.rest().to_vec();
        let ticket = body.vec16("ticket")?.not_empty("ticket")?.rest().to_vec();
        let mut max_early_data_size = None;
        let extension_types = read_extensions(body.vec16("extensions")?, |extension, body| {
            match extension {
                ExtensionType::EARLY_DATA => max_early_data_size = Some(body.u32("max_early_data_size")?),
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        Ok(Self {
            lifetime,
            age_add,
            nonce,
            ticket,
            max_early_data_size,
            extension_types,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.lifetime);
        out.put_u32(self.age_add);
        Prefixed8::new(out).put(&self.nonce);
        Prefixed16::new(out).put(&self.ticket);
        let mut block = Prefixed16::new(out);
        if let Some(size) = self.max_early_data_size {
            extension(&mut block, ExtensionType::EARLY_DATA, |out| out.put_u32(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_message, hex};
    use super::*;
    use crate::messages::decode_message;
    use crate::wire::Problem;

    fn ticket() -> NewSessionTicket {
        NewSessionTicket {
            lifetime: 7200,
            age_add: 0xdead_beef,
            nonce: vec![0, 1],
            ticket: vec![9; 40],
            max_early_data_size: Some(16384),
            extension_types: vec![ExtensionType::EARLY_DATA],
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(&ticket(), &[]);
        let plain = NewSessionTicket {
            nonce: Vec::new(),
            max_early_data_size: None,
            extension_types: Vec::new(),
            ..ticket()
        };
        check_message(&plain, &[]);
    }

    #[test]
    fn an_unknown_extension_is_tolerated_and_an_empty_ticket_is_not() {
        let read = |body: &str| decode_message::<NewSessionTicket>(&hex(body));
        let message = read("00000001 00000002 00 0001 07 0005 3a3a 0001 00").unwrap();
        assert_eq!(message.extension_types, [ExtensionType(0x3a3a)]);
        let error = read("00000001 00000002 00 0000 0000").unwrap_err();
        assert_eq!(
            (error.field, error.problem),
            ("ticket", Problem::LengthOutOfBounds)
        );
    }
}
