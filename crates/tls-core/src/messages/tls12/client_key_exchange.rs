//! ClientKeyExchange for ECDHE (RFC 8422 5.7).

use crate::messages::Message;
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Prefixed8, Put, Reader};

/// The client's half of the key exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientKeyExchange {
    /// The public key, unchecked but for being there, in the form that its group gives it.
    pub(crate) public: Vec<u8>,
}

impl Message for ClientKeyExchange {
    const TYPE: HandshakeType = HandshakeType::CLIENT_KEY_EXCHANGE;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let public = body.vec8("ecdh_Yc")?.not_empty("ecdh_Yc")?.rest().to_vec();
        Ok(Self { public })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Prefixed8::new(out).put(&self.public);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::decode_message;
    use crate::messages::testing::check_message;
    use crate::wire::Problem;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(&ClientKeyExchange { public: vec![4; 65] }, &[]);
    }

    #[test]
    fn an_absent_point_is_refused() {
        let error = decode_message::<ClientKeyExchange>(&[0]).unwrap_err();
        assert_eq!(error.problem, Problem::LengthOutOfBounds);
    }
}
