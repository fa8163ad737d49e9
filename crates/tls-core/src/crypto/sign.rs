//! Private keys in memory, and signing with them.

use core::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use rustls_pki_types::PrivateKeyDer;

use super::tape;
use crate::error::{Error, ErrorKind};
use crate::registry::SignatureScheme as S;

/// Why a private key cannot be used.
///
/// ```
/// use tls_core::{PrivateKeyDer, SigningKey};
///
/// let nonsense = PrivateKeyDer::Pkcs8(vec![1, 2, 3].into());
/// println!("{}", SigningKey::from_der(&nonsense).unwrap_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

/// A private key in memory: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519.
///
/// RSA signatures block the thread for 0.4 ms (2048 bits) to 2.4 ms (4096 bits); the others take 13 to 220 µs.
///
/// ```
/// use tls_core::{PrivateKeyDer, SignatureScheme, SigningKey};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let der = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
/// let key = SigningKey::from_der(&der)?;
/// assert_eq!(key.schemes(), [SignatureScheme::ECDSA_SECP256R1_SHA256]);
/// let signature = key.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, b"message").unwrap();
/// # assert!(!signature.is_empty());
/// # Ok::<(), tls_core::KeyError>(())
/// ```
pub struct SigningKey(Kind);

enum Kind {
    Rsa(rsa::KeyPair),
    Ecdsa {
        key: EcdsaKeyPair,
        scheme: &'static [S; 1],
    },
    Ed25519(Ed25519KeyPair),
}

/// The curves of ECDSA, each with the one scheme that it signs with: TLS 1.3 binds the hash to the curve
/// (section 4.2.3), and the library signs with no other.
static CURVES: [(&signature::EcdsaSigningAlgorithm, &[S; 1]); 3] = [
    (
        &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &[S::ECDSA_SECP256R1_SHA256],
    ),
    (
        &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &[S::ECDSA_SECP384R1_SHA384],
    ),
    (
        &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        &[S::ECDSA_SECP521R1_SHA512],
    ),
];

/// PSS first; PKCS #1 v1.5 is for TLS 1.2 only (section 4.2.3).
static RSA_SCHEMES: [S; 6] = [
    S::RSA_PSS_RSAE_SHA256,
    S::RSA_PSS_RSAE_SHA384,
    S::RSA_PSS_RSAE_SHA512,
    S::RSA_PKCS1_SHA256,
    S::RSA_PKCS1_SHA384,
    S::RSA_PKCS1_SHA512,
];

impl SigningKey {
    /// Reads a key from PKCS #8, SEC 1 (ECDSA) or PKCS #1 (RSA). Costs up to 0.3 ms for RSA: do it at configuration.
    ///
    /// # Errors
    /// A [`KeyError`] if the bytes are not a private key of a supported kind and size, or the key is inconsistent.
    pub fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        let kind = match der {
            PrivateKeyDer::Pkcs1(key) => rsa_key(rsa::KeyPair::from_der(key.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(key) => ecdsa(key.secret_sec1_der())
                .ok_or_else(|| KeyError("not an ECDSA key on P-256, P-384 or P-521 in SEC 1 form".into())),
            PrivateKeyDer::Pkcs8(key) => {
                let der = key.secret_pkcs8_der();
                ecdsa(der)
                    .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(Kind::Ed25519))
                    .map_or_else(|| rsa_key(rsa::KeyPair::from_pkcs8(der)), Ok)
            }
            _ => Err(KeyError("a private key in an unknown form".into())),
        };
        kind.map(Self)
    }

    /// What it can sign with, best first. The PKCS #1 schemes of RSA may be used in TLS 1.2 only.
    #[must_use]
    pub fn schemes(&self) -> &'static [S] {
        match &self.0 {
            Kind::Rsa(_) => &RSA_SCHEMES,
            Kind::Ecdsa { scheme, .. } => *scheme,
            Kind::Ed25519(_) => &[S::ED25519],
        }
    }

    /// Signs the message (not its hash).
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] for a scheme that is not among [`Self::schemes`], or if the library fails.
    pub fn sign(&self, scheme: S, message: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.schemes().contains(&scheme) {
            return Err(Error::new(ErrorKind::Crypto(
                "the private key cannot sign with this scheme",
            )));
        }
        // A `Signature` is 4,640 bytes by value: it becomes a Vec where it is made.
        match &self.0 {
            Kind::Rsa(key) if is_pss(scheme) => tape::signature(message, || sign_rsa(key, scheme, message)),
            Kind::Rsa(key) => sign_rsa(key, scheme, message),
            Kind::Ecdsa { key, .. } => tape::signature(message, || {
                let made = key.sign(&SystemRandom::new(), message)?;
                Ok(made.as_ref().to_vec())
            }),
            Kind::Ed25519(key) => key.try_sign(message).map(|made| made.as_ref().to_vec()),
        }
        .map_err(|_| Error::new(ErrorKind::Crypto("signing failed")))
    }

    /// The public key as SubjectPublicKeyInfo (RFC 5280 4.1.2.7), to be compared with that of the certificate.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if the library cannot encode it.
    pub fn public_key_der(&self) -> Result<Vec<u8>, Error> {
        let der: Result<PublicKeyX509Der<'_>, Unspecified> = match &self.0 {
            Kind::Rsa(key) => key.public_key().as_der(),
            Kind::Ecdsa { key, .. } => key.public_key().as_der(),
            Kind::Ed25519(key) => key.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec())
            .map_err(|_| Error::new(ErrorKind::Crypto("the public key cannot be encoded")))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Rsa(_) => "SigningKey(RSA)",
            Kind::Ecdsa { .. } => "SigningKey(ECDSA)",
            Kind::Ed25519(_) => "SigningKey(Ed25519)",
        })
    }
}

fn ecdsa(der: &[u8]) -> Option<Kind> {
    CURVES.iter().find_map(|(algorithm, scheme)| {
        let key = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
        Some(Kind::Ecdsa { key, scheme })
    })
}

fn rsa_key(key: Result<rsa::KeyPair, aws_lc_rs::error::KeyRejected>) -> Result<Kind, KeyError> {
    key.map(Kind::Rsa).map_err(|reason| {
        KeyError(format!(
            "not a private key of RSA (2048-8192 bits), P-256, P-384, P-521 or Ed25519: {reason}"
        ))
    })
}

fn is_pss(scheme: S) -> bool {
    [
        S::RSA_PSS_RSAE_SHA256,
        S::RSA_PSS_RSAE_SHA384,
        S::RSA_PSS_RSAE_SHA512,
    ]
    .contains(&scheme)
}

fn sign_rsa(key: &rsa::KeyPair, scheme: S, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let encoding: &'static dyn RsaEncoding = match scheme {
        S::RSA_PSS_RSAE_SHA256 => &signature::RSA_PSS_SHA256,
        S::RSA_PSS_RSAE_SHA384 => &signature::RSA_PSS_SHA384,
        S::RSA_PSS_RSAE_SHA512 => &signature::RSA_PSS_SHA512,
        S::RSA_PKCS1_SHA256 => &signature::RSA_PKCS1_SHA256,
        S::RSA_PKCS1_SHA384 => &signature::RSA_PKCS1_SHA384,
        S::RSA_PKCS1_SHA512 => &signature::RSA_PKCS1_SHA512,
        _ => return Err(Unspecified),
    };
    // The library panics on a buffer of any other length.
    let mut made = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut made)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::verification::{algorithms_for, algorithms_for_tls12};

    fn generated(algorithm: &'static rcgen::SignatureAlgorithm) -> (rcgen::KeyPair, SigningKey) {
        let made = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let key = SigningKey::from_der(&PrivateKeyDer::Pkcs8(made.serialize_der().into())).unwrap();
        (made, key)
    }

    /// The bit string at the end of a SubjectPublicKeyInfo, given its length.
    fn raw_key(key: &SigningKey, made: &rcgen::KeyPair) -> Vec<u8> {
        let spki = key.public_key_der().unwrap();
        let raw = rcgen::PublicKeyData::der_bytes(made);
        assert!(spki.ends_with(raw), "the key belongs to its public key");
        raw.to_vec()
    }

    #[test]
    fn what_is_signed_verifies_with_the_schemes_of_each_key() {
        let kinds: [(&'static rcgen::SignatureAlgorithm, usize); 5] = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, 1),
            (&rcgen::PKCS_ECDSA_P384_SHA384, 1),
            (&rcgen::PKCS_ECDSA_P521_SHA512, 1),
            (&rcgen::PKCS_ED25519, 1),
            (&rcgen::PKCS_RSA_SHA256, 6),
        ];
        for (algorithm, count) in kinds {
            let (made, key) = generated(algorithm);
            let raw = raw_key(&key, &made);
            assert_eq!(key.schemes().len(), count, "{key:?}");
            for &scheme in key.schemes() {
                let made = key.sign(scheme, b"message").unwrap();
                let verify = |message: &[u8], made: &[u8]| {
                    algorithms_for_tls12(scheme)
                        .iter()
                        .any(|algorithm| algorithm.verify_signature(&raw, message, made).is_ok())
                };
                assert!(verify(b"message", &made), "{scheme}");
                assert!(!verify(b"massage", &made), "{scheme}");
                let mut changed = made.clone();
                *changed.last_mut().unwrap() ^= 1;
                assert!(!verify(b"message", &changed), "{scheme}");
                let in_tls13 = algorithms_for(scheme).iter();
                let in_tls13 = in_tls13
                    .filter(|a| a.verify_signature(&raw, b"message", &made).is_ok())
                    .count();
                assert_eq!(
                    in_tls13,
                    usize::from(!format!("{scheme}").contains("pkcs1")),
                    "{scheme}"
                );
            }
        }
    }

    #[test]
    fn a_key_signs_with_its_own_schemes_only() {
        let (_, key) = generated(&rcgen::PKCS_ECDSA_P256_SHA256);
        for scheme in [S::ECDSA_SECP384R1_SHA384, S::RSA_PSS_RSAE_SHA256, S::ED25519] {
            assert!(key.sign(scheme, b"message").is_err(), "{scheme}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_in_every_form() {
        for der in [
            PrivateKeyDer::Pkcs1(vec![1, 2, 3].into()),
            PrivateKeyDer::Sec1(vec![1, 2, 3].into()),
            PrivateKeyDer::Pkcs8(vec![].into()),
        ] {
            let error = SigningKey::from_der(&der).unwrap_err();
            assert!(error.to_string().contains("P-256"), "{error}");
        }
    }

    #[test]
    fn an_ecdsa_key_in_sec1_form_is_the_same_key() {
        use aws_lc_rs::encoding::EcPrivateKeyRfc5915Der;
        for (algorithm, scheme) in CURVES {
            let made = EcdsaKeyPair::generate(algorithm).unwrap();
            let sec1: EcPrivateKeyRfc5915Der<'_> = made.private_key().as_der().unwrap();
            let key = SigningKey::from_der(&PrivateKeyDer::Sec1(sec1.as_ref().to_vec().into())).unwrap();
            assert_eq!(key.schemes(), scheme);
            assert!(
                key.public_key_der()
                    .unwrap()
                    .ends_with(made.public_key().as_ref())
            );
        }
    }

    #[test]
    fn an_rsa_key_in_pkcs1_form_is_the_same_key() {
        let (made, key) = generated(&rcgen::PKCS_RSA_SHA256);
        // RSAPrivateKey is the last field of PKCS #8: an octet string with a four-byte header.
        let pkcs8 = made.serialize_der();
        let start = pkcs8
            .windows(4)
            .skip(4)
            .position(|w| w[..2] == [0x30, 0x82] && w[2] >= 4)
            .unwrap()
            + 4;
        let pkcs1 = SigningKey::from_der(&PrivateKeyDer::Pkcs1(pkcs8[start..].to_vec().into())).unwrap();
        assert_eq!(pkcs1.public_key_der().unwrap(), key.public_key_der().unwrap());
    }
}
