//! CertificateVerify (section 4.4.3; RFC 5246 7.4.8 has the same form).

use crate::registry::{HandshakeType, SignatureScheme};
use crate::wire::{BadBytes, Prefixed16, Put, Reader};

use super::Message;

/// The proof that the sender has the private key of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateVerify {
    /// How it is signed.
    pub(crate) scheme: SignatureScheme,
    /// The signature over the transcript hash, unverified.
    pub(crate) signature: Vec<u8>,
}

impl Message for CertificateVerify {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE_VERIFY;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let scheme = SignatureScheme(body.u16("algorithm")?);
        let signature = body.vec16("signature")?.rest().to_vec();
        Ok(Self { scheme, signature })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.scheme);
        Prefixed16::new(out).put(&self.signature);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_message;
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(
            &CertificateVerify {
                scheme: SignatureScheme::ED25519,
                signature: vec![7; 64],
            },
            &[],
        );
    }
}
