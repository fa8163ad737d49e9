//! CertificateStatus (RFC 6066 section 8): the OCSP response that TLS 1.3 has in its Certificate.

use crate::messages::Message;
use crate::messages::certificate::read_certificate_status;
use crate::messages::extensions::STATUS_TYPE_OCSP;
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Prefixed24, Put, Reader};

/// What the certificate's authority says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateStatus {
    /// A DER OCSP response for the leaf; at least one byte, and not looked into.
    pub(crate) ocsp: Vec<u8>,
}

impl Message for CertificateStatus {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE_STATUS;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        read_certificate_status(body).map(|ocsp| Self { ocsp })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(STATUS_TYPE_OCSP);
        Prefixed24::new(out).put(&self.ocsp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::decode_message;
    use crate::messages::testing::{check_message, hex};
    use crate::wire::Problem;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(
            &CertificateStatus {
                ocsp: vec![0x30, 1, 2],
            },
            &[],
        );
    }

    #[test]
    fn an_unknown_type_and_an_empty_response_are_refused() {
        let problem = |body: &str| {
            decode_message::<CertificateStatus>(&hex(body))
                .unwrap_err()
                .problem
        };
        assert_eq!(problem("02 000001 30"), Problem::IllegalValue);
        assert_eq!(problem("01 000000"), Problem::LengthOutOfBounds);
    }
}
