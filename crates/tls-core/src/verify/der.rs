//! The one thing we need of a certificate that webpki keeps to itself: its keyUsage (RFC 5280 section 4.2.1.3). And the
//! one thing of DER that we write.

use crate::error::CertificateError;

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.15
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// The first bit of the KeyUsage bit string.
const DIGITAL_SIGNATURE: u8 = 0x80;

/// Whether a certificate's key may sign handshakes: it has no keyUsage, or one with digitalSignature
/// (section 4.4.2.2).
pub(super) fn may_sign(certificate: &[u8]) -> Result<bool, CertificateError> {
    key_usage(certificate)
        .map(|usage| usage.is_none_or(|bits| bits & DIGITAL_SIGNATURE != 0))
        .ok_or_else(|| CertificateError::BadEncoding("its extensions cannot be read".into()))
}

/// A SEQUENCE of this content.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).unwrap_or(length.len());
    let length = length.get(significant..).unwrap_or_default();
    let mut der = Vec::with_capacity(content.len().saturating_add(2 + size_of::<usize>()));
    der.push(SEQUENCE);
    match length {
        [] => der.push(0),
        [short @ ..0x80] => der.push(*short),
        long => {
            // At most eight bytes.
            der.push(0x80 | long.len() as u8);
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}

/// The first byte of keyUsage, `Some(None)` where there is none, `None` where the DER is broken.
fn key_usage(certificate: &[u8]) -> Option<Option<u8>> {
    let (_, certificate, _) = value(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut fields, _) = value(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    while !fields.is_empty() {
        let (tag, content, rest) = value(fields)?;
        if tag == EXTENSIONS {
            let (_, extensions, _) = value(content).filter(|(tag, ..)| *tag == SEQUENCE)?;
            return find_key_usage(extensions);
        }
        fields = rest;
    }
    Some(None)
}

fn find_key_usage(mut extensions: &[u8]) -> Option<Option<u8>> {
    while !extensions.is_empty() {
        let (_, extension, rest) = value(extensions).filter(|(tag, ..)| *tag == SEQUENCE)?;
        extensions = rest;
        let (_, id, after_id) = value(extension).filter(|(tag, ..)| *tag == OID)?;
        if id != KEY_USAGE {
            continue;
        }
        let (tag, content, after_critical) = value(after_id)?;
        let octets = if tag == BOOLEAN {
            value(after_critical).filter(|(tag, ..)| *tag == OCTET_STRING)?.1
        } else if tag == OCTET_STRING {
            content
        } else {
            return None;
        };
        let (_, bits, _) = value(octets).filter(|(tag, ..)| *tag == BIT_STRING)?;
        // The first byte counts unused bits; an empty bit string allows nothing.
        return Some(Some(bits.get(1).copied().unwrap_or(0)));
    }
    Some(None)
}

/// Tag, content and what follows it. Multi-byte tags and indefinite lengths are not DER of certificates.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let bytes;
        (bytes, rest) = rest
            .split_at_checked(usize::from(first & 0x7f))
            .filter(|(b, _)| (1..=3).contains(&b.len()))?;
        len = bytes.iter().fold(0, |len, byte| (len << 8) | usize::from(*byte));
    }
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose};

    use super::*;

    fn certificate(usages: &[KeyUsagePurpose]) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.key_usages = usages.to_vec();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_key_may_sign_unless_its_usage_says_otherwise() {
        assert!(may_sign(&certificate(&[])).unwrap());
        assert!(may_sign(&certificate(&[KeyUsagePurpose::DigitalSignature])).unwrap());
        assert!(
            may_sign(&certificate(&[
                KeyUsagePurpose::KeyEncipherment,
                KeyUsagePurpose::DigitalSignature
            ]))
            .unwrap()
        );
        assert!(!may_sign(&certificate(&[KeyUsagePurpose::KeyEncipherment])).unwrap());
        assert!(!may_sign(&certificate(&[KeyUsagePurpose::KeyAgreement])).unwrap());
    }

    #[test]
    fn a_sequence_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let der = sequence(&vec![7; length]);
            let (tag, content, rest) = value(&der).unwrap();
            assert_eq!((tag, content.len(), rest), (SEQUENCE, length, &[][..]));
        }
        assert_eq!(sequence(&[5, 0]), [0x30, 2, 5, 0]);
    }

    #[test]
    fn broken_der_is_an_error_and_never_a_panic() {
        let good = certificate(&[KeyUsagePurpose::KeyAgreement]);
        assert!(may_sign(&good[..good.len() - 1]).is_err());
        for len in 0..good.len() {
            let _ = may_sign(&good[..len]);
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = may_sign(&bad);
        }
    }
}
