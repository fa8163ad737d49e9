//! Finished (section 4.4.4; RFC 5246 7.4.9).

use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Problem, Put, Reader};

use super::Message;
use super::short_bytes::VerifyData;

/// The MAC over the whole handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The MAC. The message does not say how long it is: whoever compares it (in constant time) must compare lengths
    /// too.
    pub(crate) verify_data: VerifyData,
}

impl Message for Finished {
    const TYPE: HandshakeType = HandshakeType::FINISHED;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let out_of_bounds = body.error("verify_data", Problem::LengthOutOfBounds);
        let verify_data = VerifyData::new(body.rest())
            .filter(|data| !data.is_empty())
            .ok_or(out_of_bounds)?;
        Ok(Self { verify_data })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.verify_data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{decode_message, encode_message};

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for len in [12, 32, 48, 64] {
            let message = Finished {
                verify_data: VerifyData::new(&vec![7; len]).unwrap(),
            };
            let mut bytes = Vec::new();
            encode_message(&message, &mut bytes);
            assert_eq!(bytes[..4], [20, 0, 0, len as u8]);
            assert_eq!(decode_message(&bytes[4..]), Ok(message));
        }
    }

    #[test]
    fn no_mac_and_one_longer_than_any_hash_are_refused() {
        for len in [0, 65, 300] {
            let error = decode_message::<Finished>(&vec![7; len]).unwrap_err();
            assert_eq!(error.problem, Problem::LengthOutOfBounds);
        }
    }
}
