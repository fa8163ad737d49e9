//! CertificateRequest of TLS 1.2 (RFC 5246 7.4.4).

use crate::messages::Message;
use crate::messages::extensions::{code_points, put_authorities, put_code_points};
use crate::registry::{HandshakeType, SignatureScheme};
use crate::wire::{BadBytes, Prefixed8, Put, Reader};

/// The certificate has an RSA key that signs (RFC 5246 7.4.4).
pub(crate) const RSA_SIGN: u8 = 1;

/// The certificate has a key for ECDSA, or for Ed25519 (RFC 8422 5.5).
pub(crate) const ECDSA_SIGN: u8 = 64;

/// The server wants a certificate of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateRequest {
    /// Kinds of keys, such as [`ECDSA_SIGN`]; at least one.
    pub(crate) certificate_types: Vec<u8>,
    /// Signature schemes for CertificateVerify and chains, most preferred first; at least one.
    pub(crate) signature_algorithms: Vec<SignatureScheme>,
    /// DER names of acceptable authorities; empty if the server does not say.
    pub(crate) certificate_authorities: Vec<Vec<u8>>,
}

impl Message for CertificateRequest {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE_REQUEST;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        Ok(Self {
            certificate_types: body
                .vec8("certificate_types")?
                .not_empty("certificate_types")?
                .rest()
                .to_vec(),
            signature_algorithms: code_points(body, "supported_signature_algorithms")?,
            // Unlike the extension of TLS 1.3, the list may be empty.
            certificate_authorities: body.vec16("certificate_authorities")?.list(|name| {
                let name = name.vec16("DistinguishedName")?;
                Ok(name.not_empty("DistinguishedName")?.rest().to_vec())
            })?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Prefixed8::new(out).put(&self.certificate_types);
        put_code_points(out, &self.signature_algorithms);
        put_authorities(out, &self.certificate_authorities);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::decode_message;
    use crate::messages::testing::{check_message, hex};
    use crate::wire::Problem;

    fn request() -> CertificateRequest {
        CertificateRequest {
            certificate_types: vec![ECDSA_SIGN, RSA_SIGN],
            signature_algorithms: vec![SignatureScheme::ED25519, SignatureScheme(0x0a0a)],
            certificate_authorities: vec![vec![0x30, 0], vec![0x30, 1, 5]],
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(&request(), &[]);
        let any_authority = CertificateRequest {
            certificate_authorities: Vec::new(),
            ..request()
        };
        check_message(&any_authority, &[]);
    }

    #[test]
    fn empty_lists_and_names_are_refused() {
        let error = |body: &str| decode_message::<CertificateRequest>(&hex(body)).unwrap_err();
        for (body, field) in [
            ("00 0002 0403 0000", "certificate_types"),
            ("01 40 0000 0000", "supported_signature_algorithms"),
            ("01 40 0002 0403 0002 0000", "DistinguishedName"),
        ] {
            let error = error(body);
            assert_eq!((error.field, error.problem), (field, Problem::LengthOutOfBounds));
        }
        assert_eq!(error("01 40 0003 0403 04 0000").problem, Problem::TooShort);
    }
}
