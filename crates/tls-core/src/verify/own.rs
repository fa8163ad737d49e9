//! What can be said of our own chain before a peer looks at it.

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{MAX_CHAIN, der, from_webpki};
use crate::crypto::verification;
use crate::error::CertificateError;

/// Whether peers can accept this chain now, as far as that does not depend on their roots: its first certificate is
/// within its validity and, where it does not stand alone, was issued by another of them.
///
/// The others are not held to more: old clients have been served with expired cross-signatures on purpose.
pub(crate) fn check_own_chain(chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), CertificateError> {
    let unreadable = |what: &str| CertificateError::BadEncoding(what.into());
    let (leaf, others) = chain
        .split_first()
        .ok_or_else(|| unreadable("the chain is empty"))?;
    if chain.len() > MAX_CHAIN {
        return Err(CertificateError::ChainTooLong);
    }
    let validity = der::validity(leaf).ok_or_else(|| unreadable("its validity cannot be read"))?;
    let seconds = now.as_secs();
    if seconds > *validity.end() {
        let not_after = *validity.end();
        return Err(CertificateError::Expired {
            not_after,
            now: seconds,
        });
    }
    if seconds < *validity.start() {
        let not_before = *validity.start();
        return Err(CertificateError::NotYetValid {
            not_before,
            now: seconds,
        });
    }
    let issuers = others
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| from_webpki(error, now))?;
    if issuers.is_empty() {
        return Ok(());
    }
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| from_webpki(error, now))?;
    // For whichever of the two it is: what else may be wrong with it is for the peer to say.
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        let verified = leaf.verify_for_usage(verification::ALL, &issuers, &[], now, usage, None, None);
        match verified.map(|_| ()).map_err(|error| from_webpki(error, now)) {
            Err(error @ (CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
                return Err(error);
            }
            Ok(()) => break,
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };

    use super::*;

    /// An issuer of this name with a key of its own, and its certificate.
    fn issuer(name: &str) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (Issuer::new(params, key), certificate.der().clone())
    }

    fn leaf(issuer: &Issuer<'_, KeyPair>, usage: Option<ExtendedKeyUsagePurpose>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params.extended_key_usages.extend(usage);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, issuer).unwrap().der().clone()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn the_issuer_has_to_be_among_the_others_whatever_the_leaf_is_for() {
        let now = at(1_800_000_000);
        let ((good, good_certificate), (_, other)) = (issuer("good"), issuer("other"));
        let (_, forged) = issuer("good");
        for usage in [
            None,
            Some(ExtendedKeyUsagePurpose::ServerAuth),
            Some(ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let leaf = leaf(&good, usage);
            let check = |others: &[&CertificateDer<'static>]| {
                let others = others.iter().copied().cloned();
                check_own_chain(&[leaf.clone()].into_iter().chain(others).collect::<Vec<_>>(), now)
            };
            assert_eq!(check(&[]), Ok(()));
            assert_eq!(check(&[&good_certificate]), Ok(()));
            assert_eq!(check(&[&other, &good_certificate]), Ok(()));
            assert_eq!(check(&[&other]), Err(CertificateError::UnknownIssuer));
            assert_eq!(check(&[&forged]), Err(CertificateError::BadSignature));
            assert_eq!(
                check(&[&good_certificate; MAX_CHAIN]),
                Err(CertificateError::ChainTooLong)
            );
            assert!(check(&[&CertificateDer::from(vec![0x30, 0])]).is_err());
        }
        assert!(check_own_chain(&[], now).is_err());
    }

    #[test]
    fn the_leaf_has_to_be_valid_now() {
        let (from, until) = (1_577_836_800, 2_208_988_800);
        let chain = [leaf(&issuer("good").0, None)];
        for (now, expected) in [
            (from, Ok(())),
            (until, Ok(())),
            (
                from - 1,
                Err(CertificateError::NotYetValid {
                    not_before: from,
                    now: from - 1,
                }),
            ),
            (
                until + 1,
                Err(CertificateError::Expired {
                    not_after: until,
                    now: until + 1,
                }),
            ),
        ] {
            assert_eq!(check_own_chain(&chain, at(now)), expected);
        }
    }
}
