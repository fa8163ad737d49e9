//! Certificate of TLS 1.2 (RFC 5246 7.4.2): a chain, and nothing else.

use rustls_pki_types::CertificateDer;

use crate::messages::{Message, encode_with};
use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Prefixed24, Problem, Put, Reader};

/// More entries than this are not even read. (How long a chain may be to be verified is decided elsewhere.)
const MAX_ENTRIES: usize = 64;

/// A certificate chain that was received. For sending, [`CertificateRef`] spares the copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The leaf first; each at least one byte, and not looked into. Empty if a client has no certificate that fits.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// A certificate chain to be sent, borrowed from whoever owns it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CertificateRef<'a> {
    /// The leaf first.
    pub(crate) chain: &'a [CertificateDer<'a>],
}

impl CertificateRef<'_> {
    /// Appends the message with its header.
    pub(crate) fn encode_message(&self, out: &mut Vec<u8>) {
        // 64 bytes cover the framing: 3 for each certificate, and 7 for the message.
        let certificates: usize = self.chain.iter().map(|certificate| certificate.len()).sum();
        out.reserve(certificates.saturating_add(64));
        encode_with(Certificate::TYPE, out, |out| put_chain(out, self.chain));
    }
}

impl Message for Certificate {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let mut list = body.vec24("certificate_list")?;
        let mut chain = Vec::new();
        while !list.is_empty() {
            if chain.len() == MAX_ENTRIES {
                return Err(list.error("certificate_list", Problem::LengthOutOfBounds));
            }
            let certificate = list.vec24("ASN.1Cert")?.not_empty("ASN.1Cert")?.rest();
            chain.push(certificate.to_vec().into());
        }
        Ok(Self { chain })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_chain(out, &self.chain);
    }
}

fn put_chain(out: &mut Vec<u8>, chain: &[CertificateDer<'_>]) {
    let mut list = Prefixed24::new(out);
    for certificate in chain {
        Prefixed24::new(&mut list).put(certificate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::testing::{check_message, hex};
    use crate::messages::{decode_message, encode_message};

    fn chain_of(len: usize) -> Certificate {
        Certificate {
            chain: (0..len).map(|i| vec![0x30, i as u8].into()).collect(),
        }
    }

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        check_message(&chain_of(0), &[]);
        check_message(&chain_of(2), &[]);
    }

    #[test]
    fn a_borrowed_chain_is_written_like_an_owned_one() {
        let owned = chain_of(3);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        CertificateRef { chain: &owned.chain }.encode_message(&mut one);
        encode_message(&owned, &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn an_empty_certificate_and_an_endless_chain_are_refused() {
        let problem = |body: &[u8]| decode_message::<Certificate>(body).unwrap_err().problem;
        assert_eq!(problem(&hex("000003 000000")), Problem::LengthOutOfBounds);
        let body = |len| {
            let mut body = Vec::new();
            chain_of(len).encode(&mut body);
            body
        };
        assert!(decode_message::<Certificate>(&body(MAX_ENTRIES)).is_ok());
        assert_eq!(problem(&body(MAX_ENTRIES + 1)), Problem::LengthOutOfBounds);
    }
}
