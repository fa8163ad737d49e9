//! KeyUpdate (section 4.6.3).

use crate::registry::{HandshakeType, KeyUpdateRequest};
use crate::wire::{BadBytes, Problem, Put, Reader};

use super::Message;

/// The sender's next record is under new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUpdate {
    /// Whether the receiver should do the same; one of the two registered values.
    pub(crate) request: KeyUpdateRequest,
}

impl Message for KeyUpdate {
    const TYPE: HandshakeType = HandshakeType::KEY_UPDATE;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let illegal = body.error("request_update", Problem::IllegalValue);
        match KeyUpdateRequest(body.u8("request_update")?) {
            request @ (KeyUpdateRequest::UPDATE_NOT_REQUESTED | KeyUpdateRequest::UPDATE_REQUESTED) => {
                Ok(Self { request })
            }
            _ => Err(illegal),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.request);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_message;
    use super::*;
    use crate::messages::decode_message;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(
            &KeyUpdate {
                request: KeyUpdateRequest::UPDATE_NOT_REQUESTED,
            },
            &[],
        );
        check_message(
            &KeyUpdate {
                request: KeyUpdateRequest::UPDATE_REQUESTED,
            },
            &[],
        );
    }

    #[test]
    fn any_other_value_is_illegal() {
        for value in 2..=255 {
            assert_eq!(
                decode_message::<KeyUpdate>(&[value]).unwrap_err().problem,
                Problem::IllegalValue
            );
        }
    }
}
