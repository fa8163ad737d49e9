//! ServerHelloDone (RFC 5246 7.4.5).

use crate::messages::Message;
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Reader};

/// The server has said all that it has to say before the client answers. It is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHelloDone;

impl Message for ServerHelloDone {
    const TYPE: HandshakeType = HandshakeType::SERVER_HELLO_DONE;

    fn decode(_body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        Ok(Self)
    }

    fn encode(&self, _out: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::testing::check_message;

    #[test]
    fn it_is_empty() {
        check_message(&ServerHelloDone, &[]);
    }
}
