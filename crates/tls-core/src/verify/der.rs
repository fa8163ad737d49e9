//! What we need of a certificate that webpki keeps to itself: its keyUsage (RFC 5280 section 4.2.1.3), its validity
//! (section 4.1.2.5), and where its names are. And the one thing of DER that we write.

use core::ops::RangeInclusive;

use crate::error::CertificateError;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// crlExtensions of a list.
const LIST_EXTENSIONS: u8 = 0xa0;
/// 2.5.29.20
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
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
    let Some(octets) = extension(certificate, KEY_USAGE)? else {
        return Some(None);
    };
    let (_, bits, _) = value(octets).filter(|(tag, ..)| *tag == BIT_STRING)?;
    // The first byte says how many bits of the last are unused.
    Some(Some(bits.get(1).copied().unwrap_or(0)))
}

/// The content of the extension with this id, `Some(None)` where there is none, `None` where the DER is broken.
pub(super) fn extension<'a>(certificate: &'a [u8], wanted: &[u8]) -> Option<Option<&'a [u8]>> {
    let mut fields = fields(certificate)?;
    while !fields.is_empty() {
        let (tag, content, rest) = value(fields)?;
        if tag == EXTENSIONS {
            let (_, extensions, _) = value(content).filter(|(tag, ..)| *tag == SEQUENCE)?;
            return find_extension(extensions, wanted);
        }
        fields = rest;
    }
    Some(None)
}

fn find_extension<'a>(mut extensions: &'a [u8], wanted: &[u8]) -> Option<Option<&'a [u8]>> {
    while !extensions.is_empty() {
        let (_, extension, rest) = value(extensions).filter(|(tag, ..)| *tag == SEQUENCE)?;
        extensions = rest;
        let (_, id, after_id) = value(extension).filter(|(tag, ..)| *tag == OID)?;
        if id != wanted {
            continue;
        }
        let (tag, content, after_critical) = value(after_id)?;
        let octets = match tag {
            BOOLEAN => value(after_critical).filter(|(tag, ..)| *tag == OCTET_STRING)?.1,
            OCTET_STRING => content,
            _ => return None,
        };
        return Some(Some(octets));
    }
    Some(None)
}

/// The fields of the TBSCertificate (RFC 5280 section 4.1).
fn fields(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = value(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, fields, _) = value(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    Some(fields)
}

/// The RelativeDistinguishedNames of the subject.
pub(super) fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_, _, after_validity) = value(from_validity(certificate)?)?;
    let (_, subject, _) = value(after_validity).filter(|(tag, ..)| *tag == SEQUENCE)?;
    Some(subject)
}

/// The AlgorithmIdentifier of the certificate's key, without its header: what kind of key, and on which curve.
pub(super) fn key_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (_, _, subject) = value(from_validity(certificate)?)?;
    let (_, _, key) = value(subject)?;
    let (_, key, _) = value(key).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, algorithm, _) = value(key).filter(|(tag, ..)| *tag == SEQUENCE)?;
    Some(algorithm)
}

/// The name of the issuer, DER.
pub(super) fn issuer(certificate: &[u8]) -> Option<&[u8]> {
    let issuer = from_issuer(certificate)?;
    let (_, _, validity) = value(issuer).filter(|(tag, ..)| *tag == SEQUENCE)?;
    issuer.get(..issuer.len().checked_sub(validity.len())?)
}

/// The fields of a certificate from its issuer on.
fn from_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let fields = fields(certificate)?;
    let (tag, _, after_first) = value(fields)?;
    let serial_number = if tag == VERSION { after_first } else { fields };
    let (_, _, signature) = value(serial_number)?;
    let (_, _, issuer) = value(signature)?;
    Some(issuer)
}

/// The same from its validity on.
fn from_validity(certificate: &[u8]) -> Option<&[u8]> {
    let (_, _, validity) = value(from_issuer(certificate)?)?;
    Some(validity)
}

/// From when until when a certificate is valid, in seconds since 1970; `None` where that cannot be read.
pub(super) fn validity(certificate: &[u8]) -> Option<RangeInclusive<u64>> {
    let (_, validity, _) = value(from_validity(certificate)?).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, not_before, rest) = value(validity)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = value(rest)?;
    Some(not_before..=time(tag, not_after)?)
}

/// When a certificate revocation list was issued, in seconds since 1970, and its number, which rises with each list of an
/// issuer (RFC 5280 sections 5.1.2.4 and 5.2.3): what compares as greater is newer. `None` where that cannot be read.
pub(super) fn issue_of_list(list: &[u8]) -> Option<(u64, (usize, &[u8]))> {
    let mut fields = fields(list)?;
    let (tag, _, after_version) = value(fields)?;
    if tag == INTEGER {
        fields = after_version;
    }
    let (_, _, issuer) = value(fields)?;
    let (_, _, this_update) = value(issuer)?;
    let (tag, text, mut rest) = value(this_update)?;
    let this_update = time(tag, text)?;
    let mut number: &[u8] = &[];
    while !rest.is_empty() {
        let (tag, content, after) = value(rest)?;
        rest = after;
        if tag == LIST_EXTENSIONS {
            let (_, extensions, _) = value(content).filter(|(tag, ..)| *tag == SEQUENCE)?;
            if let Some(octets) = find_extension(extensions, CRL_NUMBER)? {
                (_, number, _) = value(octets).filter(|(tag, ..)| *tag == INTEGER)?;
            }
        }
    }
    // DER has no needless zeros in front, but for one before a byte that would look negative.
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    Some((this_update, (number.len(), number)))
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime in the only form that certificates may have.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = two_digits(text)?;
            // RFC 5280 section 4.1.2.5.1.
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => {
            let (century, text) = two_digits(text)?;
            let (year, text) = two_digits(text)?;
            (100 * century + year, text)
        }
        _ => return None,
    };
    let (month, text) = two_digits(text)?;
    let (day, text) = two_digits(text)?;
    let (hour, text) = two_digits(text)?;
    let (minute, text) = two_digits(text)?;
    let (second, text) = two_digits(text)?;
    let is_time =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !is_time || text != b"Z" {
        return None;
    }
    // Days since 0000-03-01: with the leap day at the end of a year, the months before it have a regular pattern.
    // Nothing here has more than seven digits.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(DAYS_UNTIL_1970)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_UNTIL_1970: u64 = 719_468;

fn two_digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let ([tens, ones], rest) = text.split_first_chunk()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(10).map(u64::from);
    Some((10 * digit(tens)? + digit(ones)?, rest))
}

/// Tag, content and what follows it. Multi-byte tags and indefinite lengths are not DER of certificates.
pub(super) fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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
    fn times_are_seconds_since_1970() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "700301000000Z", Some(59 * 86_400)),
            (UTC_TIME, "000229123456Z", Some(951_827_696)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "00000101000000Z", None),
            (UTC_TIME, "500101000000Z", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "700100000000Z", None),
            (UTC_TIME, "700101240000Z", None),
            (UTC_TIME, "700101000000+0100", None),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "7x0101000000Z", None),
            (UTC_TIME, "", None),
            (BOOLEAN, "700101000000Z", None),
        ] {
            assert_eq!(time(tag, text.as_bytes()), expected, "{text}");
        }
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
            let _ = (may_sign(&good[..len]), validity(&good[..len]));
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = (may_sign(&bad), validity(&bad));
        }
    }
}
