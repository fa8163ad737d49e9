//! Certificate of TLS 1.3 (section 4.4.2).

use rustls_pki_types::CertificateDer;

use crate::registry::{ExtensionType, HandshakeType};
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Prefixed24, Problem, Put, Reader};

use super::extensions::{STATUS_TYPE_OCSP, extension, read_extensions};
use super::{Message, encode_with};

/// More entries than this are not even read. (How long a chain may be to be verified is decided elsewhere.)
const MAX_ENTRIES: usize = 64;

/// A certificate chain that was received. For sending, [`CertificateRef`] spares the copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// That of the CertificateRequest; empty in a server's, and in a handshake.
    pub(crate) context: Vec<u8>,
    /// The leaf first. Empty if a client has no certificate that fits.
    pub(crate) entries: Vec<CertificateEntry>,
}

/// A certificate and what comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateEntry {
    /// The certificate; at least one byte, and not looked into.
    pub(crate) certificate: CertificateDer<'static>,
    /// A DER OCSP response for it (section 4.4.2.1).
    pub(crate) ocsp: Option<Vec<u8>>,
    /// A SignedCertificateTimestampList for it, as on the wire (RFC 6962 section 3.3).
    pub(crate) scts: Option<Vec<u8>>,
    /// All extensions that were read, unknown ones too, in wire order. Not used for writing.
    pub(crate) extension_types: Vec<ExtensionType>,
}

/// A certificate chain to be sent, borrowed from whoever owns it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CertificateRef<'a> {
    /// That of the CertificateRequest; empty in a server's, and in a handshake.
    pub(crate) context: &'a [u8],
    /// The leaf first.
    pub(crate) chain: &'a [CertificateDer<'a>],
    /// A DER OCSP response for the leaf.
    pub(crate) ocsp: Option<&'a [u8]>,
    /// A SignedCertificateTimestampList for the leaf, as on the wire.
    pub(crate) scts: Option<&'a [u8]>,
}

impl CertificateRef<'_> {
    /// Appends the message with its header.
    pub(crate) fn encode_message(&self, out: &mut Vec<u8>) {
        // 256 bytes cover the framing: 5 for each certificate, and about 30 for all the rest.
        let certificates: usize = self.chain.iter().map(|certificate| certificate.len()).sum();
        let extras = self
            .ocsp
            .map_or(0, <[u8]>::len)
            .saturating_add(self.scts.map_or(0, <[u8]>::len));
        out.reserve(certificates.saturating_add(extras).saturating_add(256));

        encode_with(Certificate::TYPE, out, |out| {
            Prefixed8::new(out).put(self.context);
            let mut list = Prefixed24::new(out);
            let (mut ocsp, mut scts) = (self.ocsp, self.scts);
            for certificate in self.chain {
                put_entry(&mut list, certificate, ocsp.take(), scts.take());
            }
        });
    }
}

impl Message for Certificate {
    const TYPE: HandshakeType = HandshakeType::CERTIFICATE;

    fn decode(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let context = body.vec8("certificate_request_context")?.rest().to_vec();
        let mut list = body.vec24("certificate_list")?;
        let mut entries = Vec::new();
        while !list.is_empty() {
            if entries.len() == MAX_ENTRIES {
                return Err(list.error("certificate_list", Problem::LengthOutOfBounds));
            }
            entries.push(CertificateEntry::read(&mut list)?);
        }
        Ok(Self { context, entries })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Prefixed8::new(out).put(&self.context);
        let mut list = Prefixed24::new(out);
        for entry in &self.entries {
            put_entry(
                &mut list,
                &entry.certificate,
                entry.ocsp.as_deref(),
                entry.scts.as_deref(),
            );
        }
    }
}

fn put_entry(out: &mut Vec<u8>, certificate: &[u8], ocsp: Option<&[u8]>, scts: Option<&[u8]>) {
    Prefixed24::new(out).put(certificate);
    let mut block = Prefixed16::new(out);
    if let Some(response) = ocsp {
        extension(&mut block, ExtensionType::STATUS_REQUEST, |out| {
            out.put_u8(STATUS_TYPE_OCSP);
            Prefixed24::new(out).put(response);
        });
    }
    if let Some(list) = scts {
        extension(&mut block, ExtensionType::SIGNED_CERTIFICATE_TIMESTAMP, |out| {
            out.put(list)
        });
    }
}

impl CertificateEntry {
    fn read(list: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let certificate = list
            .vec24("cert_data")?
            .not_empty("cert_data")?
            .rest()
            .to_vec()
            .into();
        let (mut ocsp, mut scts) = (None, None);
        let extension_types = read_extensions(list.vec16("extensions")?, |extension, body| {
            match extension {
                ExtensionType::STATUS_REQUEST => ocsp = Some(read_certificate_status(body)?),
                ExtensionType::SIGNED_CERTIFICATE_TIMESTAMP => scts = Some(read_timestamps(body)?),
                _ => drop(body.rest()),
            }
            Ok(())
        })?;
        Ok(Self {
            certificate,
            ocsp,
            scts,
            extension_types,
        })
    }
}

/// Reads a CertificateStatus (RFC 6066 section 8), which must be an OCSP response.
pub(super) fn read_certificate_status(body: &mut Reader<'_>) -> Result<Vec<u8>, BadBytes> {
    let status_type = body.clone();
    if body.u8("status_type")? != STATUS_TYPE_OCSP {
        return Err(status_type.error("status_type", Problem::IllegalValue));
    }
    Ok(body
        .vec24("OCSPResponse")?
        .not_empty("OCSPResponse")?
        .rest()
        .to_vec())
}

/// Reads a SignedCertificateTimestampList: checks its structure and returns it as it is.
pub(super) fn read_timestamps(body: &mut Reader<'_>) -> Result<Vec<u8>, BadBytes> {
    let mut list = body
        .clone()
        .vec16("SignedCertificateTimestampList")?
        .not_empty("sct_list")?;
    while !list.is_empty() {
        list.vec16("SerializedSCT")?.not_empty("SerializedSCT")?;
    }
    let len = list.offset().saturating_sub(body.offset());
    Ok(body.take("SignedCertificateTimestampList", len)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_message, hex};
    use super::*;
    use crate::messages::decode_message;

    fn chain() -> Certificate {
        let leaf = CertificateEntry {
            certificate: vec![0x30, 1, 2, 3].into(),
            ocsp: Some(vec![4, 5]),
            scts: Some(vec![0, 6, 0, 1, 9, 0, 1, 8]),
            extension_types: [5, 18].map(ExtensionType).to_vec(),
        };
        let issuer = CertificateEntry {
            certificate: vec![0x30, 7].into(),
            ocsp: None,
            scts: None,
            extension_types: Vec::new(),
        };
        Certificate {
            context: vec![1],
            entries: vec![leaf, issuer],
        }
    }

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        check_message(&chain(), &[]);
        check_message(&Certificate::default(), &[]);
    }

    #[test]
    fn a_borrowed_chain_is_written_like_an_owned_one() {
        let owned = chain();
        let certificates: Vec<_> = owned
            .entries
            .iter()
            .map(|entry| entry.certificate.clone())
            .collect();
        let borrowed = CertificateRef {
            context: &[1],
            chain: &certificates,
            ocsp: Some(&[4, 5]),
            scts: owned.entries[0].scts.as_deref(),
        };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        borrowed.encode_message(&mut one);
        super::super::encode_message(&owned, &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn an_empty_certificate_and_a_malformed_staple_are_refused() {
        let problem = |body: &str| decode_message::<Certificate>(&hex(body)).unwrap_err().problem;
        assert_eq!(problem("00 000005 000000 0000"), Problem::LengthOutOfBounds);
        assert_eq!(
            problem("00 00000f 000001 30 0009 0005 0005 02 000001 07"),
            Problem::IllegalValue
        );
        assert_eq!(
            problem("00 00000e 000001 30 0008 0005 0004 01 000000"),
            Problem::LengthOutOfBounds
        );
        assert_eq!(
            problem("00 00000c 000001 30 0006 0012 0002 0000"),
            Problem::LengthOutOfBounds
        );
    }

    #[test]
    fn an_endless_chain_is_not_read() {
        let entry = chain().entries.remove(1);
        let chain_of = |len| Certificate {
            context: Vec::new(),
            entries: vec![entry.clone(); len],
        };
        let read = |len| {
            let mut body = Vec::new();
            chain_of(len).encode(&mut body);
            decode_message::<Certificate>(&body)
        };
        assert_eq!(read(MAX_ENTRIES).unwrap().entries.len(), MAX_ENTRIES);
        assert_eq!(
            read(MAX_ENTRIES + 1).unwrap_err().problem,
            Problem::LengthOutOfBounds
        );
    }
}
