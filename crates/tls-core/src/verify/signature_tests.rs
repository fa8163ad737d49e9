//! Which schemes fit which keys in which version (section 4.2.3; RFC 5246 7.4.1.4.1), each key against each scheme; and
//! signatures that are none.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustls_pki_types::{PrivateKeyDer, alg_id};

use super::der::{sequence, value};
use super::*;
use crate::crypto::sign::SigningKey;
use crate::crypto::verification::{algorithms_for, algorithms_for_tls12};
use crate::error::ErrorKind;
use crate::registry::SignatureScheme as S;

const MESSAGE: &[u8] = b"what is signed";

/// Every scheme that has or had a meaning, and one that has none.
const SCHEMES: [S; 22] = [
    S::RSA_PKCS1_SHA1,
    S::ECDSA_SHA1,
    S::RSA_PKCS1_SHA256,
    S::RSA_PKCS1_SHA384,
    S::RSA_PKCS1_SHA512,
    S::ECDSA_SECP256R1_SHA256,
    S::ECDSA_SECP384R1_SHA384,
    S::ECDSA_SECP521R1_SHA512,
    S::RSA_PSS_RSAE_SHA256,
    S::RSA_PSS_RSAE_SHA384,
    S::RSA_PSS_RSAE_SHA512,
    S::ED25519,
    S::ED448,
    S::RSA_PSS_PSS_SHA256,
    S::RSA_PSS_PSS_SHA384,
    S::RSA_PSS_PSS_SHA512,
    // RSA with MD5, DSA with SHA-1 and SHA-256, ECDSA with SHA-224, anonymous; and nothing.
    S(0x0101),
    S(0x0202),
    S(0x0402),
    S(0x0303),
    S(0x0400),
    S(0x1234),
];

/// id-RSASSA-PSS (RFC 4055 3.1).
const PSS_ID: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

/// A certificate with this SubjectPublicKeyInfo: all that is looked at where a signature over a handshake is verified.
fn leaf_with(spki: &[u8]) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (_, parts, _) = value(made.cert.der()).unwrap();
    let (_, fields, signature) = value(parts).unwrap();
    // Version, serial number, algorithm, issuer, validity, subject: the key follows.
    let mut key = fields;
    for _ in 0..6 {
        key = value(key).unwrap().2;
    }
    let extensions = value(key).unwrap().2;
    let before = &fields[..fields.len() - key.len()];
    let fields = sequence(&[before, spki, extensions].concat());
    sequence(&[&fields[..], signature].concat()).into()
}

/// The key in another SubjectPublicKeyInfo with this AlgorithmIdentifier.
fn with_algorithm(spki: &[u8], algorithm: &[u8]) -> Vec<u8> {
    let (_, parts, _) = value(spki).unwrap();
    let (_, _, bits) = value(parts).unwrap();
    sequence(&[&sequence(algorithm), bits].concat())
}

fn signing_key(algorithm: &'static rcgen::SignatureAlgorithm) -> SigningKey {
    let made = rcgen::KeyPair::generate_for(algorithm).unwrap();
    SigningKey::from_der(&PrivateKeyDer::Pkcs8(made.serialize_der().into())).unwrap()
}

fn ecdsa(algorithm: &'static lc::EcdsaSigningAlgorithm) -> (EcdsaKeyPair, CertificateDer<'static>) {
    let key = EcdsaKeyPair::generate(algorithm).unwrap();
    let leaf = leaf_with(AsDer::as_der(key.public_key()).unwrap().as_ref());
    (key, leaf)
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Good,
    /// The scheme fits, the signature is wrong: decrypt_error.
    BadSignature,
    /// The scheme is not one for this key in this version: illegal_parameter.
    Misfit,
}

fn judge(leaf: &CertificateDer<'_>, scheme: S, algorithms: &[Algorithm], made: &[u8]) -> Verdict {
    let Err(error) = verify_signature(leaf, scheme, algorithms, MESSAGE, made) else {
        return Verdict::Good;
    };
    match error.kind() {
        ErrorKind::Misbehaved(Misbehaviour::BadSignature(of)) if *of == scheme => Verdict::BadSignature,
        ErrorKind::Misbehaved(Misbehaviour::IllegalParameter(what)) => {
            assert_eq!(*what, "signature scheme for the certificate's key");
            Verdict::Misfit
        }
        other => panic!("{other:?}"),
    }
}

/// Tries each scheme with signatures by this key: those of TLS 1.3 that fit it, and those that fit in TLS 1.2 alone.
/// `sign` makes what the scheme says as far as the key can, and something else otherwise.
fn check(what: &str, spki: &[u8], in_tls13: &[S], in_tls12_only: &[S], sign: impl Fn(S) -> Vec<u8>) {
    let leaf = leaf_with(spki);
    for scheme in SCHEMES {
        let made = sign(scheme);
        let expected = |fits: bool, made_well: bool| match (fits, made_well) {
            (true, true) => Verdict::Good,
            (true, false) => Verdict::BadSignature,
            (false, _) => Verdict::Misfit,
        };
        for made_well in [true, false] {
            let mut made = made.clone();
            if !made_well {
                let middle = made.len() / 2;
                made[middle] ^= 1;
            }
            let fits13 = in_tls13.contains(&scheme);
            let verdict = judge(&leaf, scheme, algorithms_for(scheme), &made);
            assert_eq!(
                verdict,
                expected(fits13, made_well),
                "{what} in TLS 1.3: {scheme}"
            );
            let verdict = judge(&leaf, scheme, algorithms_for_tls12(scheme), &made);
            if fits13 {
                assert_eq!(verdict, expected(true, made_well), "{what} in TLS 1.2: {scheme}");
            } else if in_tls12_only.contains(&scheme) {
                // Another hash than that of the curve, which not every key here can sign with.
                assert_ne!(verdict, Verdict::Misfit, "{what} in TLS 1.2: {scheme}");
                assert!(made_well || verdict == Verdict::BadSignature, "{what}: {scheme}");
            } else {
                assert_eq!(verdict, Verdict::Misfit, "{what} in TLS 1.2: {scheme}");
            }
        }
    }
}

#[test]
fn an_ecdsa_key_has_the_scheme_of_its_curve_and_in_tls12_all_its_hashes() {
    let all = [
        S::ECDSA_SECP256R1_SHA256,
        S::ECDSA_SECP384R1_SHA384,
        S::ECDSA_SECP521R1_SHA512,
    ];
    let algorithms = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
    ];
    for (scheme, algorithm) in all.into_iter().zip(algorithms) {
        let key = signing_key(algorithm);
        let spki = key.public_key_der().unwrap();
        check(&format!("{algorithm:?}"), &spki, &[scheme], &all, |_| {
            key.sign(scheme, MESSAGE).unwrap()
        });
    }
}

#[test]
fn a_good_signature_by_a_key_of_another_curve_counts_in_tls12_alone() {
    for (algorithm, scheme) in [
        (&lc::ECDSA_P521_SHA256_ASN1_SIGNING, S::ECDSA_SECP256R1_SHA256),
        (&lc::ECDSA_P521_SHA384_ASN1_SIGNING, S::ECDSA_SECP384R1_SHA384),
    ] {
        let (key, leaf) = ecdsa(algorithm);
        let made = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
        let in_tls13 = judge(&leaf, scheme, algorithms_for(scheme), made.as_ref());
        let in_tls12 = judge(&leaf, scheme, algorithms_for_tls12(scheme), made.as_ref());
        assert_eq!((in_tls13, in_tls12), (Verdict::Misfit, Verdict::Good), "{scheme}");
    }
    // A curve that no scheme is for.
    let (key, leaf) = ecdsa(&lc::ECDSA_P256K1_SHA256_ASN1_SIGNING);
    let made = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
    for scheme in SCHEMES {
        for algorithms in [algorithms_for(scheme), algorithms_for_tls12(scheme)] {
            assert_eq!(
                judge(&leaf, scheme, algorithms, made.as_ref()),
                Verdict::Misfit,
                "{scheme}"
            );
        }
    }
}

#[test]
fn a_curve_given_by_its_parameters_is_none() {
    // ecParameters with the version and a field of P-256's prime: what follows is not looked at (RFC 5480 2.1.1).
    let id = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let parameters = sequence(&crate::test_vectors::hex(
        "020101 302c 06072a8648ce3d0101 022100ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    ));
    let key = signing_key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let spki = key.public_key_der().unwrap();
    let sign = |_| key.sign(S::ECDSA_SECP256R1_SHA256, MESSAGE).unwrap();
    for algorithm in [
        [&id[..], &parameters].concat(),
        // implicitCurve, and nothing.
        [&id[..], &[5, 0]].concat(),
        id.to_vec(),
    ] {
        check("explicit", &with_algorithm(&spki, &algorithm), &[], &[], sign);
    }
}

#[test]
fn an_ed25519_key_has_one_scheme() {
    let key = signing_key(&rcgen::PKCS_ED25519);
    let spki = key.public_key_der().unwrap();
    check("Ed25519", &spki, &[S::ED25519], &[], |_| {
        key.sign(S::ED25519, MESSAGE).unwrap()
    });
}

#[test]
fn an_rsa_key_has_pss_of_its_kind_and_pkcs1_in_tls12_alone() {
    use S as R;
    let key = signing_key(&rcgen::PKCS_RSA_SHA256);
    let spki = key.public_key_der().unwrap();
    let sign = |scheme: S| {
        let as_rsae = match scheme {
            S::RSA_PSS_PSS_SHA256 => S::RSA_PSS_RSAE_SHA256,
            S::RSA_PSS_PSS_SHA384 => S::RSA_PSS_RSAE_SHA384,
            S::RSA_PSS_PSS_SHA512 => S::RSA_PSS_RSAE_SHA512,
            other if key.schemes().contains(&other) => other,
            _ => S::RSA_PKCS1_SHA256,
        };
        key.sign(as_rsae, MESSAGE).unwrap()
    };
    let rsae = [
        R::RSA_PSS_RSAE_SHA256,
        R::RSA_PSS_RSAE_SHA384,
        R::RSA_PSS_RSAE_SHA512,
    ];
    let pkcs1 = [R::RSA_PKCS1_SHA256, R::RSA_PKCS1_SHA384, R::RSA_PKCS1_SHA512];
    let pss = [
        R::RSA_PSS_PSS_SHA256,
        R::RSA_PSS_PSS_SHA384,
        R::RSA_PSS_PSS_SHA512,
    ];
    check("rsaEncryption", &spki, &rsae, &pkcs1, sign);
    check("id-RSASSA-PSS", &with_algorithm(&spki, &PSS_ID), &pss, &[], sign);
    for (parameters, scheme) in [
        (alg_id::RSA_PSS_SHA256, pss[0]),
        (alg_id::RSA_PSS_SHA384, pss[1]),
        (alg_id::RSA_PSS_SHA512, pss[2]),
    ] {
        let spki = with_algorithm(&spki, parameters.as_ref());
        check("id-RSASSA-PSS for one hash", &spki, &[scheme], &[], sign);
    }
    // NULL is not what PSS has for parameters (RFC 4055 3.1).
    let with_null = with_algorithm(&spki, &[&PSS_ID[..], &[5, 0]].concat());
    check("id-RSASSA-PSS with NULL", &with_null, &[], &[], sign);
}

/// DER of r and s.
fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| [&[2, number.len() as u8], number].concat();
    sequence(&[integer(r), integer(s)].concat())
}

#[test]
fn ecdsa_signatures_of_zeros_of_the_order_or_in_no_der_are_refused() {
    let (key, leaf) = ecdsa(&lc::ECDSA_P256_SHA256_ASN1_SIGNING);
    let refused = |made: &[u8], what: &str| {
        let scheme = S::ECDSA_SECP256R1_SHA256;
        let verdict = judge(&leaf, scheme, algorithms_for(scheme), made);
        assert_eq!(verdict, Verdict::BadSignature, "{what}");
    };
    // The order n of the curve, as a positive DER integer.
    let n = crate::test_vectors::hex("00 ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for r in [&[0][..], &[1], &n, &[0xff], &[]] {
        for s in [&[0][..], &[1], &n, &[0xff], &[]] {
            refused(&ecdsa_signature(r, s), &format!("r {r:02x?}, s {s:02x?}"));
        }
    }
    let made = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
    let good = made.as_ref();
    let (_, numbers, _) = value(good).unwrap();
    let (_, r, after) = value(numbers).unwrap();
    let (_, s, _) = value(after).unwrap();
    assert_eq!(ecdsa_signature(r, s), good);
    refused(&ecdsa_signature(s, r), "exchanged");
    refused(
        &ecdsa_signature(&[&[0], r].concat(), s),
        "a needless zero, if r is not negative then",
    );
    refused(&ecdsa_signature(r, &[&[0, 0], s].concat()), "needless zeros");
    refused(&sequence(&[numbers, &[5, 0]].concat()), "a third value");
    refused(&[good, &[0]].concat(), "a byte behind it");
    refused(
        &[&[0x30, 0x80], numbers, &[0, 0]].concat(),
        "a length that is not definite",
    );
    refused(
        &[&[0x30, 0x81, numbers.len() as u8], numbers].concat(),
        "a length that is too long",
    );
    refused(&good[..good.len() - 1], "a byte less");
    refused(&[], "nothing");
    let fixed = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let made = fixed.sign(&SystemRandom::new(), MESSAGE).unwrap();
    let leaf = leaf_with(AsDer::as_der(fixed.public_key()).unwrap().as_ref());
    let scheme = S::ECDSA_SECP256R1_SHA256;
    let verdict = judge(&leaf, scheme, algorithms_for(scheme), made.as_ref());
    assert_eq!(verdict, Verdict::BadSignature, "r and s side by side");
}

#[test]
fn ed25519_signatures_that_could_be_another_are_refused() {
    let key = Ed25519KeyPair::generate().unwrap();
    let leaf = leaf_with(AsDer::as_der(key.public_key()).unwrap().as_ref());
    let refused = |made: &[u8], what: &str| {
        let verdict = judge(&leaf, S::ED25519, algorithms_for(S::ED25519), made);
        assert_eq!(verdict, Verdict::BadSignature, "{what}");
    };
    let made = key.sign(MESSAGE);
    let good = made.as_ref();
    // s and the order of the group, which is 2^252 and something (RFC 8032 section 5.1.7).
    let order = crate::test_vectors::hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let s: Vec<u8> = good[32..]
        .iter()
        .zip(&order)
        .map(|(a, b)| {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            carry = digit >> 8;
            digit as u8
        })
        .collect();
    refused(&[&good[..32], &s].concat(), "s is not the least");
    refused(&[&good[..32], &[0; 32]].concat(), "s is zero");
    refused(&[&[0; 32], &good[32..]].concat(), "R is zero");
    refused(&[0; 64], "all zero");
    refused(&good[..63], "a byte less");
    refused(&[good, &[0]].concat(), "a byte more");
    refused(&[], "nothing");
}

#[test]
fn rsa_signatures_have_the_length_of_the_key_and_the_whole_padding() {
    let key = signing_key(&rcgen::PKCS_RSA_SHA256);
    let leaf = leaf_with(&key.public_key_der().unwrap());
    for scheme in [S::RSA_PKCS1_SHA256, S::RSA_PSS_RSAE_SHA256] {
        let good = key.sign(scheme, MESSAGE).unwrap();
        assert_eq!(
            judge(&leaf, scheme, algorithms_for_tls12(scheme), &good),
            Verdict::Good
        );
        // 0, 1 and all bits are their own cubes, or near: what a lenient look at the padding took for signatures.
        let one = [&vec![0; good.len() - 1][..], &[1]].concat();
        for (bad, what) in [
            ([&[0], &good[..]].concat(), "a zero in front"),
            ([&good[..], &[0]].concat(), "a zero behind"),
            (good[1..].to_vec(), "a byte less"),
            (vec![0; good.len()], "zero"),
            (one, "one"),
            (vec![0xff; good.len()], "more than the modulus"),
            (Vec::new(), "nothing"),
        ] {
            let verdict = judge(&leaf, scheme, algorithms_for_tls12(scheme), &bad);
            assert_eq!(verdict, Verdict::BadSignature, "{scheme}: {what}");
        }
        // A signature of the other kind, or with another hash.
        for other in key.schemes().iter().filter(|other| **other != scheme) {
            let made = key.sign(*other, MESSAGE).unwrap();
            let verdict = judge(&leaf, scheme, algorithms_for_tls12(scheme), &made);
            assert_eq!(verdict, Verdict::BadSignature, "{scheme}: {other}");
        }
    }
}

#[test]
fn the_curve_of_a_certificate_is_among_the_groups_or_it_is_no_ecdsa() {
    use NamedGroup as G;
    let curves = [G::SECP256R1, G::SECP384R1, G::SECP521R1];
    let algorithms = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
    ];
    for (curve, algorithm) in curves.into_iter().zip(algorithms) {
        let leaf = leaf_with(&signing_key(algorithm).public_key_der().unwrap());
        check_curve12(&leaf, &[G::X25519, curve]).unwrap();
        for groups in [
            curves.into_iter().filter(|of| *of != curve).collect(),
            vec![G::X25519],
            vec![],
        ] {
            let error = check_curve12(&leaf, &groups).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::NotOffered(_))),
                "{error}"
            );
        }
    }
    for algorithm in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ED25519] {
        let leaf = leaf_with(&signing_key(algorithm).public_key_der().unwrap());
        check_curve12(&leaf, &[]).unwrap();
    }
}
