//! The algorithms that signatures are verified with: in certificate chains and over the handshake.

use core::fmt;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use crate::registry::{NamedGroup, SignatureScheme as S};

/// An algorithm as webpki takes it.
pub(crate) type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Kind of key and signature, and what verifies it.
struct Entry {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verify: &'static dyn VerificationAlgorithm,
}

impl SignatureVerificationAlgorithm for Entry {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        made: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_ec = matches!(
            self.key,
            alg_id::ECDSA_P256 | alg_id::ECDSA_P384 | alg_id::ECDSA_P521
        );
        // Compressed and uncompressed points only; the library would take the hybrid form too (RFC 5480 2.2).
        if is_ec && !matches!(public_key.first(), Some(2..=4)) {
            return Err(InvalidSignature);
        }
        UnparsedPublicKey::new(self.verify, public_key)
            .verify(message, made)
            .map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.verify)
    }
}

macro_rules! entries {
    ($($name:ident = $key:expr, $signature:expr, $verify:ident;)*) => {
        $(static $name: Entry = Entry { key: $key, signature: $signature, verify: &signature::$verify };)*

        /// All of them, for certificate chains.
        pub(crate) static ALL: &[Algorithm] = &[$(&$name),*];
    };
}

/// id-RSASSA-PSS without parameters: a key for PSS with any hash (RFC 4055 3.1).
const PSS_KEY: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a]);

/// sha256WithRSAEncryption and its kin with absent parameters, which must be accepted too (RFC 4055 5).
const PKCS1_SHA256_ABSENT: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]);
const PKCS1_SHA384_ABSENT: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]);
const PKCS1_SHA512_ABSENT: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]);

// All RSA keys have 2048 to 8192 bits. A key of id-RSASSA-PSS has either no parameters or those of its one hash.
entries! {
    P256_SHA256 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA256, ECDSA_P256_SHA256_ASN1;
    P384_SHA384 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA384, ECDSA_P384_SHA384_ASN1;
    P521_SHA512 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA512, ECDSA_P521_SHA512_ASN1;
    ED25519 = alg_id::ED25519, alg_id::ED25519, ED25519;
    PSS_SHA256 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256, RSA_PSS_2048_8192_SHA256;
    PSS_SHA384 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384, RSA_PSS_2048_8192_SHA384;
    PSS_SHA512 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512, RSA_PSS_2048_8192_SHA512;
    PKCS1_SHA256 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256, RSA_PKCS1_2048_8192_SHA256;
    PKCS1_SHA384 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384, RSA_PKCS1_2048_8192_SHA384;
    PKCS1_SHA512 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512, RSA_PKCS1_2048_8192_SHA512;
    P256_SHA384 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA384, ECDSA_P256_SHA384_ASN1;
    P256_SHA512 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA512, ECDSA_P256_SHA512_ASN1;
    P384_SHA256 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA256, ECDSA_P384_SHA256_ASN1;
    P384_SHA512 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA512, ECDSA_P384_SHA512_ASN1;
    P521_SHA256 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA256, ECDSA_P521_SHA256_ASN1;
    P521_SHA384 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA384, ECDSA_P521_SHA384_ASN1;
    PSS_KEY_SHA256 = PSS_KEY, alg_id::RSA_PSS_SHA256, RSA_PSS_2048_8192_SHA256;
    PSS_KEY_SHA384 = PSS_KEY, alg_id::RSA_PSS_SHA384, RSA_PSS_2048_8192_SHA384;
    PSS_KEY_SHA512 = PSS_KEY, alg_id::RSA_PSS_SHA512, RSA_PSS_2048_8192_SHA512;
    PSS_KEY_ONLY_SHA256 = alg_id::RSA_PSS_SHA256, alg_id::RSA_PSS_SHA256, RSA_PSS_2048_8192_SHA256;
    PSS_KEY_ONLY_SHA384 = alg_id::RSA_PSS_SHA384, alg_id::RSA_PSS_SHA384, RSA_PSS_2048_8192_SHA384;
    PSS_KEY_ONLY_SHA512 = alg_id::RSA_PSS_SHA512, alg_id::RSA_PSS_SHA512, RSA_PSS_2048_8192_SHA512;
    PKCS1_ABSENT_SHA256 = alg_id::RSA_ENCRYPTION, PKCS1_SHA256_ABSENT, RSA_PKCS1_2048_8192_SHA256;
    PKCS1_ABSENT_SHA384 = alg_id::RSA_ENCRYPTION, PKCS1_SHA384_ABSENT, RSA_PKCS1_2048_8192_SHA384;
    PKCS1_ABSENT_SHA512 = alg_id::RSA_ENCRYPTION, PKCS1_SHA512_ABSENT, RSA_PKCS1_2048_8192_SHA512;
}

macro_rules! list {
    ($($name:ident),*) => {{
        static LIST: &[Algorithm] = &[$(&$name),*];
        LIST
    }};
}

/// What may verify a CertificateVerify of TLS 1.3 with this scheme: the one whose key id fits the certificate.
/// Empty for a scheme that may not be used there, such as those of PKCS #1 (section 4.2.3).
pub(crate) fn algorithms_for(scheme: S) -> &'static [Algorithm] {
    match scheme {
        S::ECDSA_SECP256R1_SHA256 => list![P256_SHA256],
        S::ECDSA_SECP384R1_SHA384 => list![P384_SHA384],
        S::ECDSA_SECP521R1_SHA512 => list![P521_SHA512],
        S::ED25519 => list![ED25519],
        S::RSA_PSS_RSAE_SHA256 => list![PSS_SHA256],
        S::RSA_PSS_RSAE_SHA384 => list![PSS_SHA384],
        S::RSA_PSS_RSAE_SHA512 => list![PSS_SHA512],
        S::RSA_PSS_PSS_SHA256 => list![PSS_KEY_SHA256, PSS_KEY_ONLY_SHA256],
        S::RSA_PSS_PSS_SHA384 => list![PSS_KEY_SHA384, PSS_KEY_ONLY_SHA384],
        S::RSA_PSS_PSS_SHA512 => list![PSS_KEY_SHA512, PSS_KEY_ONLY_SHA512],
        _ => &[],
    }
}

/// The same for TLS 1.2, where an ECDSA scheme means a hash with any curve, and PKCS #1 is allowed.
pub(crate) fn algorithms_for_tls12(scheme: S) -> &'static [Algorithm] {
    match scheme {
        S::ECDSA_SECP256R1_SHA256 => list![P256_SHA256, P384_SHA256, P521_SHA256],
        S::ECDSA_SECP384R1_SHA384 => list![P384_SHA384, P256_SHA384, P521_SHA384],
        S::ECDSA_SECP521R1_SHA512 => list![P521_SHA512, P256_SHA512, P384_SHA512],
        S::RSA_PKCS1_SHA256 => list![PKCS1_SHA256],
        S::RSA_PKCS1_SHA384 => list![PKCS1_SHA384],
        S::RSA_PKCS1_SHA512 => list![PKCS1_SHA512],
        _ => algorithms_for(scheme),
    }
}

/// The curve of an ECDSA key with this AlgorithmIdentifier; `None` for other keys, and for curves that no scheme is for.
pub(crate) fn curve_of(key: &[u8]) -> Option<NamedGroup> {
    let is = |algorithm: &AlgorithmIdentifier| algorithm.as_ref() == key;
    match key {
        _ if is(&alg_id::ECDSA_P256) => Some(NamedGroup::SECP256R1),
        _ if is(&alg_id::ECDSA_P384) => Some(NamedGroup::SECP384R1),
        _ if is(&alg_id::ECDSA_P521) => Some(NamedGroup::SECP521R1),
        _ => None,
    }
}

/// The curve of the ECDSA keys that we sign with this scheme, in either version.
pub(crate) const fn curve_for(scheme: S) -> Option<NamedGroup> {
    match scheme {
        S::ECDSA_SECP256R1_SHA256 => Some(NamedGroup::SECP256R1),
        S::ECDSA_SECP384R1_SHA384 => Some(NamedGroup::SECP384R1),
        S::ECDSA_SECP521R1_SHA512 => Some(NamedGroup::SECP521R1),
        _ => None,
    }
}

/// The schemes we accept unless configured otherwise, best first. Those with PKCS #1 are for certificates only in
/// TLS 1.3 (section 4.2.3).
pub(crate) const DEFAULT_SCHEMES: [S; 11] = [
    S::ECDSA_SECP256R1_SHA256,
    S::RSA_PSS_RSAE_SHA256,
    S::ED25519,
    S::ECDSA_SECP384R1_SHA384,
    S::ECDSA_SECP521R1_SHA512,
    S::RSA_PSS_RSAE_SHA384,
    S::RSA_PSS_RSAE_SHA512,
    S::RSA_PKCS1_SHA256,
    S::RSA_PKCS1_SHA384,
    S::RSA_PKCS1_SHA512,
    S::RSA_PSS_PSS_SHA256,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_of_key_and_signature_stands_twice_in_the_table() {
        for (index, one) in ALL.iter().enumerate() {
            for other in &ALL[index + 1..] {
                let same = one.public_key_alg_id() == other.public_key_alg_id()
                    && one.signature_alg_id() == other.signature_alg_id();
                assert!(!same, "{one:?}");
            }
        }
    }

    #[test]
    fn an_ec_point_in_hybrid_form_is_refused_and_a_compressed_one_taken() {
        use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyCompressedBin};
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let made = key
            .sign(&aws_lc_rs::rand::SystemRandom::new(), b"message")
            .unwrap();
        let mut point = key.public_key().as_ref().to_vec();
        let compressed: EcPublicKeyCompressedBin<'_> = key.public_key().as_be_bytes().unwrap();
        let verify = |point: &[u8]| P256_SHA256.verify_signature(point, b"message", made.as_ref());
        assert!(verify(&point).is_ok());
        assert!(verify(compressed.as_ref()).is_ok());
        point[0] = 6 | (point[64] & 1);
        assert!(verify(&point).is_err());
        assert!(verify(&[]).is_err());
    }

    #[test]
    fn schemes_of_old_or_unknown_algorithms_have_none() {
        for scheme in [S::RSA_PKCS1_SHA1, S::ECDSA_SHA1, S::ED448, S(0x1234)] {
            assert!(
                algorithms_for(scheme).is_empty() && algorithms_for_tls12(scheme).is_empty(),
                "{scheme}"
            );
        }
        assert!(algorithms_for(S::RSA_PKCS1_SHA256).is_empty());
        assert_eq!(algorithms_for(S::ECDSA_SECP256R1_SHA256).len(), 1);
    }
}
