//! The PRF of TLS 1.2 (RFC 5246 5).

use aws_lc_rs::tls_prf::{P_SHA256, P_SHA384, Secret};

use super::hash::HashAlgorithm;
use crate::error::{Error, ErrorKind};

/// Fills `out` with PRF(secret, label, seed), where the seed is both pieces one after the other.
///
/// # Errors
/// [`ErrorKind::Crypto`] for an empty secret; there is none.
pub(crate) fn prf(
    hash: HashAlgorithm,
    secret: &[u8],
    label: &[u8],
    seed: [&[u8]; 2],
    out: &mut [u8],
) -> Result<(), Error> {
    if out.is_empty() {
        return Ok(());
    }
    let algorithm = match hash {
        HashAlgorithm::Sha256 => &P_SHA256,
        HashAlgorithm::Sha384 => &P_SHA384,
    };
    let [first, second] = seed;
    let derived = Secret::new(algorithm, secret)
        .and_then(|secret| secret.derive_with_seed_concatination(label, first, second, out.len()))
        .map_err(|_| Error::new(ErrorKind::Crypto("PRF")))?;
    out.iter_mut()
        .zip(derived.as_ref())
        .for_each(|(to, from)| *to = *from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::hkdf::hmac;
    use super::*;
    use crate::test_vectors::hex;

    fn check(hash: HashAlgorithm, secret: &str, seed: &str, expected: &str) {
        let (seed, expected) = (hex(seed), hex(expected));
        for at in [0, 5, seed.len()] {
            let (first, second) = seed.split_at(at);
            let mut out = vec![0; expected.len()];
            prf(hash, &hex(secret), b"test label", [first, second], &mut out).unwrap();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn the_vector_of_the_ietf_list_for_sha_256_holds() {
        check(
            HashAlgorithm::Sha256,
            "9bbe436ba940f017b17652849a71db35",
            "a0ba9f936cda311827a6f796ffd5198c",
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9\
             c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789ba\
             a48082d122ee42c5a72e5a5110fff70187347b66",
        );
    }

    #[test]
    fn the_vector_of_the_ietf_list_for_sha_384_holds() {
        check(
            HashAlgorithm::Sha384,
            "b80b733d6ceefcdc71566ea48e5567df",
            "cd665cf6a8447dd6ff8b27555edb7465",
            "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe3\
             4f82b1233c9146a0e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3\
             d416d473ebc2c5fd4abfdad05d9184259b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236\
             a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f",
        );
    }

    #[test]
    fn it_is_the_chain_of_hmacs_that_the_rfc_describes() {
        for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let seed = [&b"label"[..], b"one", b"two"].concat();
            let (mut a, mut expected) = (hmac(hash, b"secret", &seed), Vec::new());
            for _ in 0..3 {
                let block = hmac(hash, b"secret", &[a.as_bytes(), &seed].concat());
                expected.extend_from_slice(block.as_bytes());
                a = hmac(hash, b"secret", a.as_bytes());
            }
            for len in [0, 1, 12, 48, 49, 96] {
                let mut out = vec![0; len];
                prf(hash, b"secret", b"label", [b"one", b"two"], &mut out).unwrap();
                assert_eq!(out, expected[..len]);
            }
        }
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let result = prf(HashAlgorithm::Sha256, b"", b"label", [b"", b""], &mut [0; 12]);
        assert!(result.is_err());
    }
}
