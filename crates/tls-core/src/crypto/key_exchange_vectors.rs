//! Public keys that must be refused, and odd ones that must not be: what Project Wycheproof's vectors for ECDH, X25519
//! and ML-KEM look for, made anew for the groups here.

use super::key_exchange::*;
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::NamedGroup;
use crate::test_vectors::hex;

/// Bytes of an ML-KEM-768 encapsulation key and of a ciphertext, in front of the X25519 part of a hybrid share.
const MLKEM_KEY: usize = 1184;
const MLKEM_CIPHERTEXT: usize = 1088;
/// The modulus of ML-KEM.
const Q: u16 = 3329;

struct Curve {
    group: NamedGroup,
    /// The least x of a point, but for zero, and its y.
    point: (u8, &'static str),
    /// The y of the point whose x is zero.
    y_at_zero: &'static str,
    /// The prime, and an x below 256 that no point has.
    prime: &'static str,
    no_point: u8,
    /// A point of order three on another curve, which differs in b alone.
    of_order_three: (u8, &'static str),
}

const P256: Curve = Curve {
    group: NamedGroup::SECP256R1,
    point: (
        5,
        "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc",
    ),
    y_at_zero: "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4",
    prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    no_point: 1,
    of_order_three: (
        6,
        "8006be78d090abd1a7890a1f21172515719def90bad7a1713fc1e58cbc12aeef",
    ),
};

const P384: Curve = Curve {
    group: NamedGroup::SECP384R1,
    point: (
        2,
        "8cdeadbbd04911a3c1931e26df3fa6439dca9c7eb286fbd46fc319f0e2bb7802\
         32baf57825fc0c1912ada2fefe84024c",
    ),
    y_at_zero: "c306610fb0ae5a159cf45c06069f22a6c5eb3641c602d42dea2c4b4f75550793\
                406d80d2b91ad54f9048bd487af1ade1",
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
            ffffffff0000000000000000ffffffff",
    no_point: 1,
    of_order_three: (
        2,
        "3d69c39b0407f54531af9425a378494a757fb59b0a3c609bcf0140e5dc0ad6de\
         b818561da76c6ad32fd2793289bf5c07",
    ),
};

const P521: Curve = Curve {
    group: NamedGroup::SECP521R1,
    point: (
        1,
        "0010e59be93c4f269c0269c79e2afd65d6aeaa9b701eacc194fb3ee03df47849\
         bf550ec636ebee0ddd4a16f1cd9406605af38f584567770e3f272d688c832e84\
         3564",
    ),
    y_at_zero: "012df13601594a883ef2d935e44bb90bf4d6619b74e52af7552f97769011c071\
                9eb439cfab2a88d40fe59a2bed1f43557169a2d0a2ccd280c607b92bbf51ffe0\
                b078",
    prime: "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
            ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
            ffff",
    no_point: 3,
    of_order_three: (
        6,
        "0000000000000000000000000000000000000000000000000000000000000000\
         0118000000000000000000000000000000000000000000000000000000000000\
         0000",
    ),
};

const CURVES: [Curve; 3] = [P256, P384, P521];

/// A number of the length that this curve has.
fn padded(curve: &Curve, number: &[u8]) -> Vec<u8> {
    let len = hex(curve.prime).len();
    [&vec![0; len - number.len()], number].concat()
}

/// The sum of two numbers of the same length; it must fit.
fn sum(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = one
        .iter()
        .zip(other)
        .rev()
        .map(|(a, b)| {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            carry = digit >> 8;
            digit as u8
        })
        .collect();
    assert_eq!(carry, 0, "it does not fit");
    sum.reverse();
    sum
}

fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

fn is_bad<T>(result: Result<T, Error>, group: NamedGroup) -> bool {
    result.is_err_and(
        |error| matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadKeyShare(of)) if *of == group),
    )
}

/// As a client's share and as a server's, in either version: both go through the same two functions.
#[track_caller]
fn refused(group: NamedGroup, share: &[u8], what: &str) {
    assert!(
        is_bad(respond(group, share), group),
        "{group} from a client: {what}"
    );
    let client = KeyExchange::start(&[group]).unwrap();
    assert!(
        is_bad(client.complete(group, share), group),
        "{group} from a server: {what}"
    );
}

#[track_caller]
fn accepted(group: NamedGroup, share: &[u8], what: &str) {
    assert!(respond(group, share).is_ok(), "{group} from a client: {what}");
    let client = KeyExchange::start(&[group]).unwrap();
    assert!(
        client.complete(group, share).is_ok(),
        "{group} from a server: {what}"
    );
}

#[test]
fn a_point_is_taken_as_its_two_coordinates_and_in_no_other_form() {
    for curve in CURVES {
        let group = curve.group;
        let x = padded(&curve, &[curve.point.0]);
        let y = hex(curve.point.1);
        let point = uncompressed(&x, &y);
        accepted(group, &point, "the point itself");
        accepted(
            group,
            &uncompressed(&padded(&curve, &[]), &hex(curve.y_at_zero)),
            "x is zero",
        );

        let parity = y.last().unwrap() & 1;
        refused(group, &[&[2 | parity], &x[..]].concat(), "compressed");
        refused(
            group,
            &[&[3 - parity], &x[..]].concat(),
            "compressed, of the other sign",
        );
        refused(group, &[&[6 | parity], &x[..], &y].concat(), "both");
        refused(group, &[&x[..], &y].concat(), "without its first byte");
        for form in [0, 1, 5, 8, 0xff] {
            refused(group, &[&[form], &x[..], &y].concat(), "with another first byte");
        }
        refused(group, &[0], "the point at infinity");
        refused(
            group,
            &vec![0; point.len()],
            "the point at infinity in full length",
        );
        refused(group, &[], "nothing");
        refused(group, &[4], "nothing but the form");
        refused(group, &point[..x.len() + 1], "x alone");
        refused(group, &point[..point.len() - 1], "a byte less");
        refused(group, &[&point[..], &[0]].concat(), "a byte more");
        refused(
            group,
            &[&[4, 0], &x[..], &[0], &y].concat(),
            "a zero before each coordinate",
        );
        refused(
            group,
            &[&[4], &x[1..], &y[1..]].concat(),
            "no zeros before the coordinates",
        );
    }
}

#[test]
fn what_is_on_no_curve_or_on_another_is_refused() {
    for curve in CURVES {
        let group = curve.group;
        let prime = hex(curve.prime);
        let number = |number: u8| padded(&curve, &[number]);
        let (x, y) = (number(curve.point.0), hex(curve.point.1));
        let not_there = |x: &[u8], y: &[u8], what| refused(group, &uncompressed(x, y), what);

        not_there(&number(0), &number(0), "both zero");
        not_there(&number(0), &number(1), "zero and one");
        not_there(&number(1), &number(0), "a point of order two on another curve");
        not_there(&number(3), &number(4), "a point of a singular curve");
        let (of_order_three, its_y) = curve.of_order_three;
        not_there(
            &number(of_order_three),
            &hex(its_y),
            "a point of order three on another curve",
        );
        not_there(&number(curve.no_point), &y, "an x that no point has");
        not_there(&x, &sum(&y, &number(1)), "one beside the curve");
        not_there(&y, &x, "exchanged");

        // The same numbers modulo the prime, but not the least ones (SEC 1, section 3.2.2.1).
        not_there(&sum(&x, &prime), &y, "x and the prime");
        not_there(
            &prime,
            &hex(curve.y_at_zero),
            "the prime, where zero would be right",
        );
        not_there(&prime, &prime, "the prime twice");
        let most = vec![0xff; prime.len()];
        not_there(&most, &most, "all bits");
    }
    let x = padded(&P256, &[1]);
    let y = hex("4218f20ae6c646b363db68605822fb14264ca8d2587fdd6fbc750d587e76a7ee");
    refused(
        NamedGroup::SECP256R1,
        &uncompressed(&x, &y),
        "a point of secp256k1",
    );
}

#[test]
fn a_share_of_one_group_is_none_of_another_and_der_is_none_at_all() {
    let shares = KeyExchange::start(&SUPPORTED_GROUPS).unwrap().shares().unwrap();
    for (of, share) in &shares {
        for (group, _) in &shares {
            if of != group {
                refused(*group, share, &format!("a share of {of}"));
            }
        }
    }
    // SubjectPublicKeyInfo of a P-256 key (RFC 5480), which the library would take.
    let point = uncompressed(&padded(&P256, &[P256.point.0]), &hex(P256.point.1));
    let der = [hex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), point].concat();
    refused(NamedGroup::SECP256R1, &der, "as DER");
    let der = [hex("302a300506032b656e032100"), vec![9; 32]].concat();
    refused(NamedGroup::X25519, &der, "as DER");
}

/// All u whose point has order 1, 2, 4 or 8, on the curve or its twist, in every encoding: zero, one, p-1, the two of order
/// eight, and what is the same modulo p = 2^255-19.
fn of_small_order() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .iter()
    .map(|u| hex(u).try_into().unwrap())
    .collect();
    // The highest bit is not part of the number (RFC 7748 section 5).
    for mut u in all.clone() {
        u[31] |= 0x80;
        all.push(u);
    }
    all
}

#[test]
fn x25519_points_of_small_order_are_refused_in_every_encoding_and_in_the_hybrid() {
    let hybrid = NamedGroup::X25519MLKEM768;
    let client = KeyExchange::start(&[hybrid]).unwrap();
    let share = client.shares().unwrap().remove(0).1;
    let (answer, _) = respond(hybrid, &share).unwrap();
    for u in of_small_order() {
        refused(NamedGroup::X25519, &u, &format!("{u:02x?}"));
        let share = [&share[..MLKEM_KEY], &u].concat();
        assert!(is_bad(respond(hybrid, &share), hybrid), "{u:02x?} from a client");
        let answer = [&answer[..MLKEM_CIPHERTEXT], &u].concat();
        assert!(
            is_bad(client.complete(hybrid, &answer), hybrid),
            "{u:02x?} from a server"
        );
    }
}

#[test]
fn other_x25519_keys_are_numbers_modulo_the_prime_without_their_highest_bit() {
    let private = [0x5a; 32];
    let secret = |u: &[u8]| agree_for_test(NamedGroup::X25519, &private, u);
    let mut nine = [0; 32];
    nine[0] = 9;
    let expected = secret(&nine);
    // Implementations MUST take these (RFC 7748 section 5).
    let mut highest_bit = nine;
    highest_bit[31] = 0x80;
    let mut and_prime = [0xff; 32];
    (and_prime[0], and_prime[31]) = (0xed + 9, 0x7f);
    for (u, what) in [(highest_bit, "the highest bit"), (and_prime, "and the prime")] {
        assert_eq!(secret(&u).as_bytes(), expected.as_bytes(), "{what}");
        accepted(NamedGroup::X25519, &u, what);
    }
    // Two is on the twist.
    let mut two = [0; 32];
    two[0] = 2;
    accepted(NamedGroup::X25519, &two, "on the twist");
}

/// Sets a coefficient of an encapsulation key: twelve bits each, the lower ones first (FIPS 203, section 4.2.1).
fn set_coefficient(key: &mut [u8], index: usize, value: u16) {
    let at = index / 2 * 3;
    if index.is_multiple_of(2) {
        key[at] = value as u8;
        key[at + 1] = key[at + 1] & 0xf0 | (value >> 8) as u8;
    } else {
        key[at + 1] = key[at + 1] & 0x0f | (value << 4) as u8;
        key[at + 2] = (value >> 4) as u8;
    }
}

#[test]
fn each_coefficient_of_an_mlkem_key_is_below_the_modulus() {
    let group = NamedGroup::X25519MLKEM768;
    let share = KeyExchange::start(&[group])
        .unwrap()
        .shares()
        .unwrap()
        .remove(0)
        .1;
    for index in [0, 1, 2, 255, 256, 511, 512, 766, 767] {
        for value in [Q, Q + 1, 4095] {
            let mut share = share.clone();
            set_coefficient(&mut share, index, value);
            assert!(
                is_bad(respond(group, &share), group),
                "coefficient {index} is {value}"
            );
        }
        let mut share = share.clone();
        set_coefficient(&mut share, index, Q - 1);
        assert!(
            respond(group, &share).is_ok(),
            "coefficient {index} is the greatest"
        );
    }
    // Behind the coefficients there is a seed, which can be anything.
    let mut share = share;
    share[MLKEM_KEY - 32..MLKEM_KEY].fill(0xff);
    assert!(respond(group, &share).is_ok());
}

#[test]
fn the_parts_of_a_hybrid_have_their_lengths_and_their_order() {
    let group = NamedGroup::X25519MLKEM768;
    let client = KeyExchange::start(&[group]).unwrap();
    let share = client.shares().unwrap().remove(0).1;
    let (answer, _) = respond(group, &share).unwrap();
    let (key, x25519) = share.split_at(MLKEM_KEY);
    // Keys of ML-KEM-512 and of ML-KEM-1024 have 800 and 1568 bytes, ciphertexts 768 and 1568.
    for bad in [
        [x25519, key].concat(),
        key.to_vec(),
        x25519.to_vec(),
        [&key[..800], x25519].concat(),
        [key, &key[..384], x25519].concat(),
        [key, &x25519[..31]].concat(),
        [&key[..MLKEM_KEY - 1], x25519].concat(),
        [&share[..], &[0]].concat(),
    ] {
        assert!(
            is_bad(respond(group, &bad), group),
            "{} bytes from a client",
            bad.len()
        );
    }
    let (ciphertext, x25519) = answer.split_at(MLKEM_CIPHERTEXT);
    for bad in [
        ciphertext.to_vec(),
        x25519.to_vec(),
        [&ciphertext[..768], x25519].concat(),
        [ciphertext, &ciphertext[..480], x25519].concat(),
        [ciphertext, &x25519[..31]].concat(),
        [&ciphertext[..MLKEM_CIPHERTEXT - 1], x25519].concat(),
        [&answer[..], &[0]].concat(),
    ] {
        assert!(
            is_bad(client.complete(group, &bad), group),
            "{} bytes from a server",
            bad.len()
        );
    }
}

#[test]
fn a_changed_ciphertext_gives_another_secret_and_no_error() {
    // Implicit rejection (FIPS 203, section 6.3): the Finished messages will not fit, and nothing is learnt of the key.
    let group = NamedGroup::X25519MLKEM768;
    let client = KeyExchange::start(&[group]).unwrap();
    let share = client.shares().unwrap().remove(0).1;
    let (answer, expected) = respond(group, &share).unwrap();
    for at in [0, 1, 543, MLKEM_CIPHERTEXT - 1] {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        let secret = client.complete(group, &changed).unwrap();
        assert_ne!(secret.as_bytes()[..32], expected.as_bytes()[..32], "byte {at}");
        assert_eq!(
            secret.as_bytes()[32..],
            expected.as_bytes()[32..],
            "the part of X25519"
        );
    }
}
