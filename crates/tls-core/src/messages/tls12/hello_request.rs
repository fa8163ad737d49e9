//! HelloRequest (RFC 5246 7.4.1.1).

use crate::messages::Message;
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Reader};

/// The server wants another handshake. It is empty, and no part of any transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HelloRequest;

impl Message for HelloRequest {
    const TYPE: HandshakeType = HandshakeType::HELLO_REQUEST;

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
        check_message(&HelloRequest, &[]);
    }
}
