//! Whom a certificate is for.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::chain::PeerChain;
use super::der::{OID, SEQUENCE, extension, subject, value};

/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

// The choices of GeneralName (RFC 5280 section 4.2.1.6).
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// The names in a certificate (RFC 5280 sections 4.1.2.6 and 4.2.1.6), as whoever issued it wrote them. Names of other
/// kinds are left out, and those that are not text of their kind: a DNS name has letters, digits and `.-_*` alone, nothing has
/// control characters, and nothing is empty.
///
/// ```
/// use tls_core::CertificateNames;
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// let names = CertificateNames::of(made.cert.der()).unwrap();
/// assert_eq!(names.dns_names, ["localhost"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateNames {
    /// The last common name of the subject. For people to read: where a machine is to decide on something, the alternative
    /// names are what issuers check.
    pub common_name: Option<String>,
    /// DNS names, ASCII; the first label may be `*`.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// URIs, for example SPIFFE ids.
    pub uris: Vec<String>,
    /// E-mail addresses.
    pub email_addresses: Vec<String>,
}

impl CertificateNames {
    /// Those of this certificate, DER; `None` if it cannot be read.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let mut names = Self {
            common_name: common_name(subject(certificate)?)?,
            ..Self::default()
        };
        if let Some(content) = extension(certificate, SUBJECT_ALT_NAME)? {
            let (_, mut rest, _) = value(content).filter(|(tag, ..)| *tag == SEQUENCE)?;
            while !rest.is_empty() {
                let (tag, name, after) = value(rest)?;
                names.add(tag, name);
                rest = after;
            }
        }
        Some(names)
    }

    fn add(&mut self, tag: u8, name: &[u8]) {
        match tag {
            DNS_NAME => self.dns_names.extend(text(name, is_of_dns_name)),
            URI => self.uris.extend(text(name, |byte| byte.is_ascii_graphic())),
            RFC822_NAME => self
                .email_addresses
                .extend(text(name, |byte| byte.is_ascii_graphic())),
            IP_ADDRESS => self.ip_addresses.extend(address(name)),
            _ => {}
        }
    }
}

impl PeerChain {
    /// The names in the end entity's certificate; `None` if there is none, or it cannot be read. It is read anew each time.
    #[must_use]
    pub fn names(&self) -> Option<CertificateNames> {
        CertificateNames::of(self.certificates.first()?)
    }
}

/// `Some(None)` where the subject has none, `None` where the DER is broken.
fn common_name(mut names: &[u8]) -> Option<Option<String>> {
    let mut found = None;
    while !names.is_empty() {
        let (_, mut attributes, rest) = value(names).filter(|(tag, ..)| *tag == SET)?;
        names = rest;
        while !attributes.is_empty() {
            let (_, attribute, rest) = value(attributes).filter(|(tag, ..)| *tag == SEQUENCE)?;
            attributes = rest;
            let (_, kind, text) = value(attribute).filter(|(tag, ..)| *tag == OID)?;
            let (tag, text, _) = value(text)?;
            if kind == COMMON_NAME {
                found = match tag {
                    UTF8_STRING | PRINTABLE_STRING | IA5_STRING => str::from_utf8(text).ok(),
                    _ => None,
                }
                .filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
                .map(str::to_owned);
            }
        }
    }
    Some(found)
}

/// Text of these bytes only, and never none.
fn text(name: &[u8], is_good: impl Fn(&u8) -> bool) -> Option<String> {
    let is_good = !name.is_empty() && name.iter().all(is_good);
    let name = str::from_utf8(name).ok().filter(|_| is_good)?;
    Some(name.to_owned())
}

/// Letters, digits and what else stands in names of hosts, wildcards among it.
fn is_of_dns_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_*".contains(byte)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>, subject: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = names;
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn all() -> Vec<u8> {
        certificate(
            vec![
                SanType::DnsName("one.test".try_into().unwrap()),
                SanType::URI("spiffe://test/one".try_into().unwrap()),
                SanType::IpAddress([192, 0, 2, 1].into()),
                SanType::DnsName("*.two.test".try_into().unwrap()),
                SanType::Rfc822Name("one@test".try_into().unwrap()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ],
            &[(DnType::OrganizationName, "Prüfung"), (DnType::CommonName, "Zoë")],
        )
    }

    #[test]
    fn names_of_all_kinds_are_found_in_their_order() {
        let names = CertificateNames::of(&all()).unwrap();
        assert_eq!(names.common_name.as_deref(), Some("Zoë"));
        assert_eq!(names.dns_names, ["one.test", "*.two.test"]);
        assert_eq!(names.uris, ["spiffe://test/one"]);
        assert_eq!(names.email_addresses, ["one@test"]);
        assert_eq!(
            names.ip_addresses,
            ["192.0.2.1", "2001:db8::1"].map(|address| address.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn a_certificate_without_names_has_none() {
        let names = CertificateNames::of(&certificate(Vec::new(), &[])).unwrap();
        assert_eq!(names, CertificateNames::default());
        assert_eq!(PeerChain::default().names(), None);
    }

    #[test]
    fn what_is_no_text_of_its_kind_is_left_out() {
        let mut names = CertificateNames::default();
        for (tag, name) in [
            (DNS_NAME, &b"\xff"[..]),
            (IP_ADDRESS, &[1, 2, 3]),
            (0xa0, b"other"),
        ] {
            names.add(tag, name);
        }
        assert_eq!(names, CertificateNames::default());
    }

    #[test]
    fn broken_der_is_no_panic() {
        let good = all();
        for len in 0..good.len() {
            let _ = CertificateNames::of(&good[..len]);
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = CertificateNames::of(&bad);
        }
        assert_eq!(CertificateNames::of(b""), None);
    }
}
