//! The cipher suites and what each stands for.

use super::aead::AeadAlgorithm;
use super::hash::HashAlgorithm;
use crate::registry::{CipherSuite, ProtocolVersion, SignatureScheme};

/// Records that one AES-GCM key may protect. Section 5.5 allows 2^24.5 full-size records with a safety margin of
/// 2^-57; the next lower power of two needs no fractions. ChaCha20-Poly1305 has no limit below the sequence number's.
pub(crate) const AES_GCM_RECORD_LIMIT: u64 = 1 << 24;

/// A cipher suite: everything that its code point decides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) id: CipherSuite,
    /// The only version it can be negotiated in: the code points of TLS 1.3 and TLS 1.2 are disjoint (section B.4).
    pub(crate) version: ProtocolVersion,
    /// Hash of transcript and key schedule.
    pub(crate) hash: HashAlgorithm,
    pub(crate) aead: AeadAlgorithm,
    /// Records that may be protected with one key (section 5.5); before that, a KeyUpdate is due. TLS 1.2 has none,
    /// and writes no more.
    pub(crate) record_limit: u64,
    /// What the server's key must be for. `None` in TLS 1.3, whose suites do not say.
    pub(crate) authentication: Option<Authentication>,
}

/// How the server of a TLS 1.2 suite signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// With ECDSA or Ed25519, which has no suites of its own (RFC 8422 5.10).
    Ecdsa,
    /// With RSA, PKCS#1 or PSS.
    Rsa,
}

impl Authentication {
    /// Which kind of suite a signature of this scheme is for.
    pub(crate) const fn of(scheme: SignatureScheme) -> Self {
        use SignatureScheme as S;
        match scheme {
            S::ECDSA_SECP256R1_SHA256
            | S::ECDSA_SECP384R1_SHA384
            | S::ECDSA_SECP521R1_SHA512
            | S::ED25519 => Self::Ecdsa,
            _ => Self::Rsa,
        }
    }
}

impl Suite {
    const fn tls13(id: CipherSuite, hash: HashAlgorithm, aead: AeadAlgorithm) -> Self {
        Self::new(id, ProtocolVersion::TLS13, hash, aead, None)
    }

    const fn tls12(
        id: CipherSuite,
        authentication: Authentication,
        hash: HashAlgorithm,
        aead: AeadAlgorithm,
    ) -> Self {
        Self::new(id, ProtocolVersion::TLS12, hash, aead, Some(authentication))
    }

    const fn new(
        id: CipherSuite,
        version: ProtocolVersion,
        hash: HashAlgorithm,
        aead: AeadAlgorithm,
        authentication: Option<Authentication>,
    ) -> Self {
        let record_limit = match aead {
            AeadAlgorithm::Aes128Gcm | AeadAlgorithm::Aes256Gcm => AES_GCM_RECORD_LIMIT,
            AeadAlgorithm::ChaCha20Poly1305 => u64::MAX,
        };
        Self {
            id,
            version,
            hash,
            aead,
            record_limit,
            authentication,
        }
    }

    /// Length of the AEAD key in bytes.
    pub(crate) const fn key_len(&self) -> usize {
        self.aead.key_len()
    }
}

/// The suites of TLS 1.3, in the order in which they are preferred.
///
/// AES-128 first: SHA-384 costs about 20 µs more per handshake and side, and ChaCha20 is much slower than AES where
/// the processor has AES instructions.
pub(crate) static TLS13_SUITES: [Suite; 3] = [
    Suite::tls13(
        CipherSuite::TLS_AES_128_GCM_SHA256,
        HashAlgorithm::Sha256,
        AeadAlgorithm::Aes128Gcm,
    ),
    Suite::tls13(
        CipherSuite::TLS_AES_256_GCM_SHA384,
        HashAlgorithm::Sha384,
        AeadAlgorithm::Aes256Gcm,
    ),
    Suite::tls13(
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        HashAlgorithm::Sha256,
        AeadAlgorithm::ChaCha20Poly1305,
    ),
];

/// The suites of TLS 1.2, in the order in which they are preferred: ECDSA before RSA, whose signatures cost a server
/// ten times as much, then as in TLS 1.3.
pub(crate) static TLS12_SUITES: [Suite; 6] = [
    Suite::tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Authentication::Ecdsa,
        HashAlgorithm::Sha256,
        AeadAlgorithm::Aes128Gcm,
    ),
    Suite::tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Authentication::Ecdsa,
        HashAlgorithm::Sha384,
        AeadAlgorithm::Aes256Gcm,
    ),
    Suite::tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Authentication::Ecdsa,
        HashAlgorithm::Sha256,
        AeadAlgorithm::ChaCha20Poly1305,
    ),
    Suite::tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Authentication::Rsa,
        HashAlgorithm::Sha256,
        AeadAlgorithm::Aes128Gcm,
    ),
    Suite::tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Authentication::Rsa,
        HashAlgorithm::Sha384,
        AeadAlgorithm::Aes256Gcm,
    ),
    Suite::tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        Authentication::Rsa,
        HashAlgorithm::Sha256,
        AeadAlgorithm::ChaCha20Poly1305,
    ),
];

/// The default offer for TLS 1.2, in order of preference.
pub(crate) const DEFAULT_TLS12_SUITES: [CipherSuite; 6] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The default offer, in order of preference.
pub(crate) const DEFAULT_TLS13_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
];

/// The suite of this code point, or `None` if we do not have it.
pub(crate) fn suite(id: CipherSuite) -> Option<&'static Suite> {
    TLS13_SUITES
        .iter()
        .chain(&TLS12_SUITES)
        .find(|suite| suite.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_what_its_name_says() {
        for suite in TLS13_SUITES.iter().chain(&TLS12_SUITES) {
            let name = suite.id.name().unwrap();
            let hash = if name.ends_with("SHA384") {
                HashAlgorithm::Sha384
            } else {
                HashAlgorithm::Sha256
            };
            assert_eq!(suite.hash, hash, "{name}");
            let key_len = if name.contains("AES_128") { 16 } else { 32 };
            assert_eq!(suite.key_len(), key_len, "{name}");
            assert_eq!(
                suite.record_limit == u64::MAX,
                name.contains("CHACHA20"),
                "{name}"
            );
            let authentication = match name {
                _ if name.contains("ECDHE_ECDSA") => Some(Authentication::Ecdsa),
                _ if name.contains("ECDHE_RSA") => Some(Authentication::Rsa),
                _ => None,
            };
            assert_eq!(suite.authentication, authentication, "{name}");
            assert_eq!(
                suite.version == ProtocolVersion::TLS12,
                authentication.is_some(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_default_order_is_that_of_the_table() {
        assert!(TLS13_SUITES.iter().map(|suite| suite.id).eq(DEFAULT_TLS13_SUITES));
        assert!(TLS12_SUITES.iter().map(|suite| suite.id).eq(DEFAULT_TLS12_SUITES));
    }

    #[test]
    fn a_suite_is_found_by_its_code_point() {
        for known in TLS13_SUITES.iter().chain(&TLS12_SUITES) {
            assert_eq!(suite(known.id), Some(known));
        }
        assert_eq!(suite(CipherSuite::TLS_FALLBACK_SCSV), None);
    }
}
