//! Certificate paths by webpki (RFC 5280), and signatures over the handshake. No other module calls webpki.

mod chain;
mod der;
mod names;
mod own;
mod revocation;
mod roots;
#[cfg(test)]
mod signature_tests;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RevocationOptions};

use crate::crypto::verification::{self, Algorithm};
use crate::error::{CertificateError, ConfigError, Error, Misbehaviour};
use crate::registry::{NamedGroup, SignatureScheme};

pub use chain::PeerChain;
pub use names::CertificateNames;
pub(crate) use own::check_own_chain;
pub use revocation::RevocationLists;
pub use roots::RootStore;

/// More certificates in one chain than any real one has; webpki bounds the work per path, this bounds the paths.
pub(crate) const MAX_CHAIN: usize = 10;

/// The name of the issuer of a certificate, DER, as certificate_authorities has it (section 4.2.4).
pub(crate) fn issuer<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    der::issuer(certificate)
}

/// Verifies a server's chain and that it is for this name.
pub(crate) fn verify_server(
    chain: &[CertificateDer<'_>],
    roots: &RootStore,
    revocation: Option<&RevocationLists>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let leaf = verify_path(chain, roots, revocation, now, KeyUsage::server_auth())?;
    leaf.verify_is_valid_for_subject_name(name)
        .map_err(|error| from_webpki(error, now))
}

/// Verifies a client's chain.
pub(crate) fn verify_client(
    chain: &[CertificateDer<'_>],
    roots: &RootStore,
    revocation: Option<&RevocationLists>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    verify_path(chain, roots, revocation, now, KeyUsage::client_auth()).map(|_| ())
}

/// Whether now lies within the validity of every certificate: then a chain that was ever accepted for a name leads to
/// the same roots for the same name now, since [`verify_server`] depends on nothing else.
pub(crate) fn are_all_valid(chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
    let is_valid = |der: &CertificateDer<'_>| {
        der::validity(der).is_some_and(|validity| validity.contains(&now.as_secs()))
    };
    !chain.is_empty() && chain.iter().all(is_valid)
}

fn verify_path<'a>(
    chain: &'a [CertificateDer<'_>],
    roots: &RootStore,
    revocation: Option<&RevocationLists>,
    now: UnixTime,
    usage: KeyUsage,
) -> Result<EndEntityCert<'a>, CertificateError> {
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or_else(|| CertificateError::BadEncoding("the chain is empty".into()))?;
    if chain.len() > MAX_CHAIN {
        return Err(CertificateError::ChainTooLong);
    }
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| from_webpki(error, now))?;
    let verify = |options: Option<RevocationOptions<'_>>| {
        let algorithms = verification::ALL;
        leaf.verify_for_usage(
            algorithms,
            roots.anchors(),
            intermediates,
            now,
            usage,
            options,
            None,
        )
        .map(|_| ())
        .map_err(|error| from_webpki(error, now))
    };
    match revocation {
        None => verify(None)?,
        Some(lists) => lists
            .with_options(|options| verify(Some(options)))
            .unwrap_or_else(|| Err(CertificateError::RevocationUnknown("there are no lists".into())))?,
    }
    Ok(leaf)
}

/// Proof that the peer holds the key of its end-entity certificate: its signature over the handshake verified.
#[derive(Debug)]
pub(crate) struct HandshakeSignatureVerified(());

/// Verifies a peer's signature over the handshake (section 4.4.3; RFC 5246 7.4.3 and 7.4.8): one of the scheme's
/// algorithms in this version must fit the leaf's key, and the leaf must be allowed to sign.
pub(crate) fn verify_signature(
    leaf: &CertificateDer<'_>,
    scheme: SignatureScheme,
    algorithms: &[Algorithm],
    message: &[u8],
    signature: &[u8],
) -> Result<HandshakeSignatureVerified, Error> {
    if !der::may_sign(leaf)? {
        return Err(CertificateError::WrongUsage("its keyUsage lacks digitalSignature".into()).into());
    }
    let certificate = EndEntityCert::try_from(leaf).map_err(|error| from_webpki(error, UnixTime::now()))?;
    let mut fits_key = false;
    for algorithm in algorithms {
        match certificate.verify_signature(*algorithm, message, signature) {
            Ok(()) => return Ok(HandshakeSignatureVerified(())),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => fits_key = true,
        }
    }
    Err(if fits_key {
        Misbehaviour::BadSignature(scheme).into()
    } else {
        Misbehaviour::IllegalParameter("signature scheme for the certificate's key").into()
    })
}

/// Whether a server's end-entity certificate may be used in TLS 1.2 with a client that named these groups: there the list
/// is about ECDSA too, and the curve of the server's key must be in it (RFC 8422 5.1 and 5.3).
pub(crate) fn check_curve12(leaf: &CertificateDer<'_>, groups: &[NamedGroup]) -> Result<(), Error> {
    match der::key_algorithm(leaf).and_then(verification::curve_of) {
        Some(curve) if !groups.contains(&curve) => {
            Err(Misbehaviour::NotOffered("curve of the certificate's key").into())
        }
        _ => Ok(()),
    }
}

/// The SubjectPublicKeyInfo of a certificate, DER.
pub(crate) fn subject_public_key_info(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, ConfigError> {
    EndEntityCert::try_from(certificate)
        .map(|certificate| certificate.subject_public_key_info().to_vec())
        .map_err(|error| ConfigError::new(format!("certificate: {error}")))
}

/// The DNS names a certificate is for: none where it cannot be parsed.
pub(crate) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    EndEntityCert::try_from(certificate)
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// webpki's errors in our terms; what they carry is kept.
fn from_webpki(error: webpki::Error, now: UnixTime) -> CertificateError {
    use webpki::Error as W;
    match error {
        W::CertExpired { time, not_after } => CertificateError::Expired {
            not_after: not_after.as_secs(),
            now: time.as_secs(),
        },
        W::CertNotValidYet { time, not_before } => CertificateError::NotYetValid {
            not_before: not_before.as_secs(),
            now: time.as_secs(),
        },
        W::InvalidCertValidity => CertificateError::NotYetValid {
            not_before: now.as_secs(),
            now: now.as_secs(),
        },
        W::UnknownIssuer => CertificateError::UnknownIssuer,
        W::CertNotValidForName(context) => CertificateError::NotValidForName {
            expected: context.expected.to_str().into_owned(),
            presented: context.presented,
        },
        W::CertRevoked => CertificateError::Revoked,
        W::UnknownRevocationStatus | W::CrlExpired { .. } => {
            CertificateError::RevocationUnknown(error.to_string())
        }
        W::InvalidSignatureForPublicKey | W::InvalidCrlSignatureForPublicKey => {
            CertificateError::BadSignature
        }
        W::CaUsedAsEndEntity => CertificateError::CaUsedAsEndEntity,
        W::EndEntityUsedAsCa | W::NameConstraintViolation | W::PathLenConstraintViolated => {
            CertificateError::ConstraintViolated(error.to_string())
        }
        W::RequiredEkuNotFoundContext(_) | W::IssuerNotCrlSigner => {
            CertificateError::WrongUsage(error.to_string())
        }
        W::MaximumSignatureChecksExceeded
        | W::MaximumPathBuildCallsExceeded
        | W::MaximumPathDepthExceeded
        | W::MaximumNameConstraintComparisonsExceeded => CertificateError::ChainTooLong,
        W::UnsupportedSignatureAlgorithmContext(_)
        | W::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | W::UnsupportedCrlSignatureAlgorithmContext(_)
        | W::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateError::UnsupportedAlgorithm(error.to_string())
        }
        other => CertificateError::BadEncoding(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate_of(from: i32, until: i32) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn all_certificates_have_to_be_valid_by_the_same_bounds_as_for_webpki() {
        // 2020-01-01 and 2040-01-01; the second is valid longer, also beyond 2050, where the encoding changes.
        let (from, until) = (1_577_836_800, 2_208_988_800);
        let leaf = certificate_of(2020, 2040);
        let chain = [leaf.clone(), certificate_of(1970, 2100)];
        let mut roots = RootStore::empty();
        roots.add_der(&leaf).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        for now in [0, from - 1, from, until, until + 1, u64::MAX] {
            let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(now));
            let is_accepted = verify_server(&chain, &roots, None, &name, now).is_ok();
            assert_eq!(are_all_valid(&chain, now), is_accepted, "{now:?}");
        }
        let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(from));
        assert!(!are_all_valid(&[], now));
        assert!(!are_all_valid(&[leaf, certificate_of(2021, 2040)], now));
    }

    #[test]
    fn a_chain_of_more_certificates_than_we_look_at_is_refused() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let leaf = made.cert.der().clone();
        let mut roots = RootStore::empty();
        roots.add_der(&leaf).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let verify =
            |length| verify_server(&vec![leaf.clone(); length], &roots, None, &name, UnixTime::now());
        assert_eq!(verify(MAX_CHAIN), Ok(()));
        assert_eq!(verify(MAX_CHAIN + 1), Err(CertificateError::ChainTooLong));
        assert!(verify(0).is_err());
    }
}
