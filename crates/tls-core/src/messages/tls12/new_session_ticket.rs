//! NewSessionTicket of TLS 1.2 (RFC 5077 3.3).

use crate::messages::Message;
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Prefixed16, Put, Reader};

/// A ticket to resume the session with. It comes before the server's change_cipher_spec, and never later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSessionTicket {
    /// Seconds for which the server may accept it; 0 for not saying.
    pub(crate) lifetime_hint: u32,
    /// The ticket itself. Empty if the server has none to give after all.
    pub(crate) ticket: Vec<u8>,
}

impl Message for NewSessionTicket {
    const TYPE: HandshakeType = HandshakeType::NEW_SESSION_TICKET;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let lifetime_hint = body.u32("ticket_lifetime_hint")?;
        let ticket = body.vec16("ticket")?.rest().to_vec();
        Ok(Self {
            lifetime_hint,
            ticket,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.lifetime_hint);
        Prefixed16::new(out).put(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::testing::check_message;

    #[test]
    fn a_message_is_read_as_it_was_written_and_may_hold_no_ticket() {
        for len in [0, 200] {
            check_message(
                &NewSessionTicket {
                    lifetime_hint: 0x0102_0304,
                    ticket: vec![9; len],
                },
                &[],
            );
        }
    }
}
