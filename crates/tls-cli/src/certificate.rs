//! What a certificate says, for people. Nothing here decides whether it is trusted.

use std::net::IpAddr;

use serde_json::{Value, json};
use tls_tokio::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// A certificate of the peer's chain, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// Of the subject alternative name: DNS names, addresses, and the rest with its kind in front.
    pub(crate) names: Vec<String>,
    /// As in RFC 3339, in UTC.
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    pub(crate) key: String,
    pub(crate) serial: String,
}

impl Description {
    /// `None` for one that cannot be parsed; with `--insecure` that can be anything.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self {
            subject: name_or_empty(&parsed.subject().to_string()),
            issuer: name_or_empty(&parsed.issuer().to_string()),
            names: alternative_names(&parsed),
            not_before: rfc3339(parsed.validity().not_before),
            not_after: rfc3339(parsed.validity().not_after),
            key: key(&parsed),
            serial: parsed.tbs_certificate.raw_serial_as_string(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "subject": self.subject,
            "issuer": self.issuer,
            "names": self.names,
            "not_before": self.not_before,
            "not_after": self.not_after,
            "key": self.key,
            "serial": self.serial,
        })
    }

    /// The lines that show it, below a headline with its place in the chain.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("subject", self.subject.clone()), ("issuer", self.issuer.clone())];
        if !self.names.is_empty() {
            lines.push(("names", self.names.join(", ")));
        }
        lines.push(("valid", format!("{} to {}", self.not_before, self.not_after)));
        lines.push(("key", self.key.clone()));
        lines
    }
}

fn name_or_empty(name: &str) -> String {
    if name.is_empty() { "(empty)" } else { name }.to_owned()
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .map(alternative_name)
            .collect(),
        _ => Vec::new(),
    }
}

fn alternative_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(octets) => {
            address(octets).map_or_else(|| name.to_string(), |ip| ip.to_string())
        }
        other => other.to_string(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

pub(crate) fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA, {} bits", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("ECDSA, {} bits", point.key_size()),
        // Ed25519 (RFC 8410) has no parsed form here.
        _ if key.algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => format!("algorithm {}", key.algorithm.algorithm),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
    use tls_tokio::CertificateDer;

    use super::Description;

    #[test]
    fn a_certificate_is_described() {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        params.not_before = date_time_ymd(2020, 1, 2);
        params.not_after = date_time_ymd(2099, 3, 4);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.self_signed(&key).unwrap();

        let description = Description::of(certificate.der()).unwrap();
        assert_eq!(description.subject, "CN=somebody");
        assert_eq!(description.issuer, "CN=somebody");
        assert_eq!(description.names, names);
        assert_eq!(description.not_before, "2020-01-02T00:00:00Z");
        assert_eq!(description.not_after, "2099-03-04T00:00:00Z");
        assert_eq!(description.key, "ECDSA, 256 bits");
    }

    #[test]
    fn what_is_no_certificate_has_no_description() {
        assert_eq!(
            Description::of(&CertificateDer::from(vec![0x30, 3, 1, 2, 3])),
            None
        );
        assert_eq!(Description::of(&CertificateDer::from(Vec::new())), None);
    }
}
