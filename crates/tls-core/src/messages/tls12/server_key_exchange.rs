//! ServerKeyExchange for ECDHE (RFC 8422 5.4).

use crate::messages::Message;
use crate::registry::{HandshakeType, NamedGroup, SignatureScheme};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

/// The one kind of curve that is left: one with a name (RFC 8422 5.4).
const NAMED_CURVE: u8 = 3;

/// The server's half of the key exchange, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerKeyExchange {
    /// What is signed, together with both randoms.
    pub(crate) params: EcdhParams,
    /// How it is signed.
    pub(crate) scheme: SignatureScheme,
    /// The signature over [`EcdhParams::signed_content`], unverified.
    pub(crate) signature: Vec<u8>,
}

/// ServerECDHParams. There is one way to write them, so that what is encoded again is what was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EcdhParams {
    /// The group that the server chose.
    pub(crate) group: NamedGroup,
    /// Its public key, unchecked but for being there, in the form that the group gives it.
    pub(crate) public: Vec<u8>,
}

impl EcdhParams {
    /// What the server signs: both randoms, and these parameters as on the wire.
    pub(crate) fn signed_content(&self, client_random: &[u8; 32], server_random: &[u8; 32]) -> Vec<u8> {
        let mut content = Vec::with_capacity(32 + 32 + 4 + self.public.len());
        content.put(client_random);
        content.put(server_random);
        self.encode(&mut content);
        content
    }

    /// Appends the parameters as on the wire.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(NAMED_CURVE);
        out.put_u16(self.group);
        Prefixed8::new(out).put(&self.public);
    }

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let curve_type = body.clone();
        if body.u8("curve_type")? != NAMED_CURVE {
            return Err(curve_type.error("curve_type", Problem::IllegalValue));
        }
        Ok(Self {
            group: NamedGroup(body.u16("namedcurve")?),
            public: body.vec8("public")?.not_empty("public")?.rest().to_vec(),
        })
    }
}

impl Message for ServerKeyExchange {
    const TYPE: HandshakeType = HandshakeType::SERVER_KEY_EXCHANGE;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        Ok(Self {
            params: EcdhParams::decode(body)?,
            scheme: SignatureScheme(body.u16("algorithm")?),
            signature: body.vec16("signature")?.rest().to_vec(),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.params.encode(out);
        out.put_u16(self.scheme);
        Prefixed16::new(out).put(&self.signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::decode_message;
    use crate::messages::testing::{check_message, hex};

    const BODY: &str = "03 001d 02 0405 0403 0003 010203";

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = ServerKeyExchange {
            params: EcdhParams {
                group: NamedGroup::X25519,
                public: vec![4, 5],
            },
            scheme: SignatureScheme::ECDSA_SECP256R1_SHA256,
            signature: vec![1, 2, 3],
        };
        check_message(&message, &[]);
        assert_eq!(decode_message(&hex(BODY)), Ok(message));
    }

    #[test]
    fn the_signed_content_is_both_randoms_and_the_bytes_of_the_wire() {
        let message: ServerKeyExchange = decode_message(&hex(BODY)).unwrap();
        let content = message.params.signed_content(&[1; 32], &[2; 32]);
        assert_eq!(content, [&[1; 32][..], &[2; 32], &hex(BODY)[..6]].concat());
    }

    #[test]
    fn explicit_curves_and_absent_points_are_refused() {
        let error = |body: &str| decode_message::<ServerKeyExchange>(&hex(body)).unwrap_err();
        let explicit = error("01 001d 02 0405 0403 0003 010203");
        assert_eq!(
            (explicit.field, explicit.offset, explicit.problem),
            ("curve_type", 0, Problem::IllegalValue)
        );
        assert_eq!(error("03 001d 00 0403 0000").problem, Problem::LengthOutOfBounds);
    }
}
