//! CertificateRequest of TLS 1.3 (section 4.3.2).

use crate::registry::{ExtensionType, HandshakeType, SignatureScheme};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Put, Reader};

use super::Message;
use super::extensions::{
    self, code_points, extension, flag, put_authorities, put_code_points, read_extensions,
};

/// The server wants a certificate of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateRequest {
    /// To be repeated in the Certificate; empty in a handshake.
    pub(crate) context: Vec<u8>,
    /// Signature schemes for CertificateVerify, most preferred first; empty if the extension, which is mandatory, is
    /// missing.
    pub(crate) signature_algorithms: Vec<SignatureScheme>,
    /// Signature schemes for chains, if others.
    pub(crate) signature_algorithms_cert: Option<Vec<SignatureScheme>>,
    /// DER names of acceptable authorities; empty if the server does not say.
    pub(crate) certificate_authorities: Vec<Vec<u8>>,
    /// Whether a stapled OCSP response is welcome.
    pub(crate) status_request: bool,
    /// Whether signed certificate timestamps are welcome.
    pub(crate) signed_certificate_timestamp: bool,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

impl Message for CertificateRequest {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE_REQUEST;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        use ExtensionType as E;
        let context = body.vec8("certificate_request_context")?.rest().to_vec();
        let mut all = Self {
            context,
            ..Self::default()
        };
        let extension_types = read_extensions(body.vec16("extensions")?, |extension, body| {
            match extension {
                E::SIGNATURE_ALGORITHMS => {
                    all.signature_algorithms = code_points(body, "supported_signature_algorithms")?;
                }
                E::SIGNATURE_ALGORITHMS_CERT => {
                    all.signature_algorithms_cert =
                        Some(code_points(body, "supported_signature_algorithms")?);
                }
                E::CERTIFICATE_AUTHORITIES => {
                    all.certificate_authorities = extensions::read_authorities(body)?;
                }
                // Empty here, unlike in a ClientHello (section 4.4.2.1).
                E::STATUS_REQUEST => all.status_request = true,
                E::SIGNED_CERTIFICATE_TIMESTAMP => all.signed_certificate_timestamp = true,
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        all.extension_types = extension_types;
        Ok(all)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        use ExtensionType as E;
        Prefixed8::new(out).put(&self.context);
        let mut block = Prefixed16::new(out);
        flag(&mut block, self.status_request, E::STATUS_REQUEST);
        flag(
            &mut block,
            self.signed_certificate_timestamp,
            E::SIGNED_CERTIFICATE_TIMESTAMP,
        );
        if !self.signature_algorithms.is_empty() {
            extension(&mut block, E::SIGNATURE_ALGORITHMS, |out| {
                put_code_points(out, &self.signature_algorithms);
            });
        }
        if let Some(schemes) = &self.signature_algorithms_cert {
            extension(&mut block, E::SIGNATURE_ALGORITHMS_CERT, |out| {
                put_code_points(out, schemes)
            });
        }
        if !self.certificate_authorities.is_empty() {
            extension(&mut block, E::CERTIFICATE_AUTHORITIES, |out| {
                put_authorities(out, &self.certificate_authorities);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_message, hex};
    use super::*;
    use crate::messages::decode_message;
    use crate::wire::Problem;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        check_message(
            &CertificateRequest {
                context: vec![1, 2],
                signature_algorithms: vec![SignatureScheme::ED25519, SignatureScheme(0x0a0a)],
                signature_algorithms_cert: Some(vec![SignatureScheme::RSA_PKCS1_SHA256]),
                certificate_authorities: vec![vec![0x30, 0], vec![0x30, 1, 5]],
                status_request: true,
                signed_certificate_timestamp: true,
                extension_types: [5, 18, 13, 50, 47].map(ExtensionType).to_vec(),
            },
            &[],
        );
    }

    #[test]
    fn a_status_request_is_empty_here() {
        let request =
            decode_message::<CertificateRequest>(&hex("00 000c 0005 0000 000d 0004 0002 0807")).unwrap();
        assert!(request.status_request);
        let as_in_a_client_hello = "00 0011 0005 0005 0100000000 000d 0004 0002 0807";
        let error = decode_message::<CertificateRequest>(&hex(as_in_a_client_hello)).unwrap_err();
        assert_eq!(error.problem, Problem::TrailingBytes);
    }

    #[test]
    fn one_without_signature_algorithms_is_written_without() {
        check_message(
            &CertificateRequest {
                status_request: true,
                extension_types: vec![ExtensionType::STATUS_REQUEST],
                ..CertificateRequest::default()
            },
            &[],
        );
    }

    #[test]
    fn empty_lists_are_refused() {
        let problem = |body: &str| {
            decode_message::<CertificateRequest>(&hex(body))
                .unwrap_err()
                .problem
        };
        assert_eq!(problem("00 0006 000d 0002 0000"), Problem::LengthOutOfBounds);
        assert_eq!(problem("00 0006 002f 0002 0000"), Problem::LengthOutOfBounds);
        assert_eq!(problem("00 0008 002f 0004 0002 0000"), Problem::LengthOutOfBounds);
        assert_eq!(problem("00 0007 000d 0003 0001 00"), Problem::TooShort);
    }
}
