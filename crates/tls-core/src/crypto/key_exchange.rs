//! Key exchange: (EC)DHE and the hybrid of X25519 with ML-KEM-768 (sections 4.2.8 and 7.4).

use core::fmt;

use aws_lc_rs::{agreement, kem};
use zeroize::Zeroize;

use super::tape;
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::NamedGroup;

/// All groups, in the order in which they are preferred.
pub(crate) const SUPPORTED_GROUPS: [NamedGroup; 5] = [
    NamedGroup::X25519MLKEM768,
    NamedGroup::X25519,
    NamedGroup::SECP256R1,
    NamedGroup::SECP384R1,
    NamedGroup::SECP521R1,
];

/// Bytes of an X25519 public key.
const X25519_LEN: usize = 32;
/// Bytes of an ML-KEM-768 encapsulation key: the client's part of the hybrid.
const MLKEM768_KEY_LEN: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext: the server's part of the hybrid.
const MLKEM768_CIPHERTEXT_LEN: usize = 1088;
/// Bytes of the longest shared secret (P-521; the hybrid has 64).
const MAX_SHARED_SECRET_LEN: usize = 66;
/// First byte of an uncompressed point, the only form that TLS 1.3 allows (section 4.2.8.2).
const UNCOMPRESSED: u8 = 4;

/// Whether a group can be offered and answered.
pub(crate) fn is_supported(group: NamedGroup) -> bool {
    SUPPORTED_GROUPS.contains(&group)
}

/// Whether TLS 1.2 can use this group: the hybrids are for TLS 1.3.
pub(crate) const fn is_for_tls12(group: NamedGroup) -> bool {
    matches!(
        group,
        NamedGroup::X25519 | NamedGroup::SECP256R1 | NamedGroup::SECP384R1 | NamedGroup::SECP521R1
    )
}

/// What both sides share at the end, wiped when dropped.
pub(crate) struct SharedSecret {
    bytes: [u8; MAX_SHARED_SECRET_LEN],
    len: usize,
}

impl SharedSecret {
    const fn new() -> Self {
        Self {
            bytes: [0; MAX_SHARED_SECRET_LEN],
            len: 0,
        }
    }

    /// Adds a part; `None` if it does not fit.
    fn push(&mut self, part: &[u8]) -> Option<()> {
        let end = self.len.checked_add(part.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(part);
        self.len = end;
        Some(())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl Drop for SharedSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// The client's side: the private keys of all shares it offered.
///
/// One X25519 key serves the hybrid and the plain share alike (draft-ietf-tls-hybrid-design, section 3.2), which saves
/// 11 µs for each ClientHello.
pub(crate) struct KeyExchange {
    groups: Vec<NamedGroup>,
    x25519: Option<agreement::PrivateKey>,
    mlkem768: Option<kem::DecapsulationKey>,
    /// Rarely any, hardly ever more than one.
    curves: Vec<(NamedGroup, agreement::PrivateKey)>,
}

impl KeyExchange {
    /// Makes keys for a share of each of these groups.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] for a group that is not supported, or if keys cannot be generated.
    pub(crate) fn start(groups: &[NamedGroup]) -> Result<Self, Error> {
        let mut keys = Self {
            groups: groups.to_vec(),
            x25519: None,
            mlkem768: None,
            curves: Vec::new(),
        };
        for &group in groups {
            if matches!(group, NamedGroup::X25519 | NamedGroup::X25519MLKEM768) {
                if keys.x25519.is_none() {
                    keys.x25519 = Some(generate(&agreement::X25519)?);
                }
                if group == NamedGroup::X25519MLKEM768 {
                    keys.mlkem768 = Some(tape::decapsulation_key(|| {
                        kem::DecapsulationKey::generate(&kem::ML_KEM_768).map_err(no_key)
                    })?);
                }
            } else {
                let curve = curve(group).ok_or_else(unsupported)?;
                keys.curves.push((group, generate(curve)?));
            }
        }
        Ok(keys)
    }

    /// The shares for the ClientHello, in the order of the groups.
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] if a public key cannot be computed.
    pub(crate) fn shares(&self) -> Result<Vec<(NamedGroup, Vec<u8>)>, Error> {
        let x25519 = self
            .x25519
            .as_ref()
            .map(|key| key.compute_public_key().map_err(no_key))
            .transpose()?;
        let x25519 = x25519.as_ref().map(AsRef::as_ref);
        let share = |group: NamedGroup| match group {
            NamedGroup::X25519 => x25519.map(<[u8]>::to_vec).ok_or_else(unsupported),
            NamedGroup::X25519MLKEM768 => {
                let (Some(mlkem768), Some(x25519)) = (&self.mlkem768, x25519) else {
                    return Err(unsupported());
                };
                match mlkem768.encapsulation_key().and_then(|key| key.key_bytes()) {
                    Ok(mlkem768) => Ok([mlkem768.as_ref(), x25519].concat()),
                    Err(error) => tape::public_of(mlkem768)
                        .map(|mlkem768| [&mlkem768, x25519].concat())
                        .ok_or_else(|| no_key(error)),
                }
            }
            _ => {
                let key = self.curve_key(group).ok_or_else(unsupported)?;
                Ok(key.compute_public_key().map_err(no_key)?.as_ref().to_vec())
            }
        };
        self.groups
            .iter()
            .map(|&group| share(group).map(|bytes| (group, bytes)))
            .collect()
    }

    /// The shared secret, given the share that the server answered with.
    ///
    /// # Errors
    /// [`Misbehaviour::BadKeyShare`] if the share is not a public key of the group, and
    /// [`Misbehaviour::NotOffered`] if no share was offered for it.
    pub(crate) fn complete(&self, group: NamedGroup, server_share: &[u8]) -> Result<SharedSecret, Error> {
        let not_offered = || Error::from(Misbehaviour::NotOffered("key_share group"));
        if !self.groups.contains(&group) {
            return Err(not_offered());
        }
        let mut secret = SharedSecret::new();
        let agreed = match group {
            NamedGroup::X25519 => {
                let key = self.x25519.as_ref().ok_or_else(not_offered)?;
                agree(group, key, server_share, &mut secret)
            }
            NamedGroup::X25519MLKEM768 => {
                let (Some(mlkem768), Some(x25519)) = (&self.mlkem768, &self.x25519) else {
                    return Err(not_offered());
                };
                complete_hybrid(mlkem768, x25519, server_share, &mut secret)
            }
            _ => {
                let key = self.curve_key(group).ok_or_else(not_offered)?;
                agree(group, key, server_share, &mut secret)
            }
        };
        agreed
            .map(|()| secret)
            .ok_or_else(|| Misbehaviour::BadKeyShare(group).into())
    }

    fn curve_key(&self, group: NamedGroup) -> Option<&agreement::PrivateKey> {
        self.curves
            .iter()
            .find(|(of, _)| *of == group)
            .map(|(_, key)| key)
    }
}

impl fmt::Debug for KeyExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyExchange").field(&self.groups).finish()
    }
}

/// The server's side: its share and the shared secret, given the client's share.
///
/// # Errors
/// [`Misbehaviour::BadKeyShare`] if the share is not a public key of the group; [`ErrorKind::Crypto`] for a group that
/// is not supported, or if a key cannot be generated.
pub(crate) fn respond(group: NamedGroup, client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), Error> {
    let bad_share = || Error::from(Misbehaviour::BadKeyShare(group));
    let mut secret = SharedSecret::new();
    if group == NamedGroup::X25519MLKEM768 {
        let (key, x25519_share) = client_share
            .split_at_checked(MLKEM768_KEY_LEN)
            .ok_or_else(bad_share)?;
        if x25519_share.len() != X25519_LEN {
            return Err(bad_share());
        }
        let encapsulated = tape::encapsulate(key, |ciphertext, mlkem768| {
            secret.push(mlkem768).ok_or_else(bad_share)?;
            let x25519 = generate(&agreement::X25519)?;
            agree(NamedGroup::X25519, &x25519, x25519_share, &mut secret).ok_or_else(bad_share)?;
            let public = x25519.compute_public_key().map_err(no_key)?;
            Ok::<_, Error>([ciphertext, public.as_ref()].concat())
        });
        let share = encapsulated.ok_or_else(bad_share)??;
        return Ok((share, secret));
    }
    let algorithm = match group {
        NamedGroup::X25519 => &agreement::X25519,
        _ => curve(group).ok_or_else(unsupported)?,
    };
    if !is_well_formed(group, client_share) {
        return Err(bad_share());
    }
    let key = generate(algorithm)?;
    agree(group, &key, client_share, &mut secret).ok_or_else(bad_share)?;
    Ok((
        key.compute_public_key().map_err(no_key)?.as_ref().to_vec(),
        secret,
    ))
}

/// Hands the ciphertext and the secret of an encapsulation for this ML-KEM-768 key to `take`. `None` for a bad key: the
/// check of its modulus happens in `encapsulate` (FIPS 203, section 7.2).
pub(crate) fn encapsulate<T>(key: &[u8], take: impl FnOnce(&[u8], &[u8]) -> T) -> Option<T> {
    let key = kem::EncapsulationKey::new(&kem::ML_KEM_768, key).ok()?;
    let (ciphertext, secret) = key.encapsulate().ok()?;
    Some(take(ciphertext.as_ref(), secret.as_ref()))
}

fn complete_hybrid(
    mlkem768: &kem::DecapsulationKey,
    x25519: &agreement::PrivateKey,
    server_share: &[u8],
    secret: &mut SharedSecret,
) -> Option<()> {
    let (ciphertext, x25519_share) = server_share.split_at_checked(MLKEM768_CIPHERTEXT_LEN)?;
    if x25519_share.len() != X25519_LEN {
        return None;
    }
    secret.push(mlkem768.decapsulate(ciphertext.into()).ok()?.as_ref())?;
    agree(NamedGroup::X25519, x25519, x25519_share, secret)
}

/// Diffie-Hellman; `None` for a bad public key, which includes an all-zero result (section 7.4.2).
fn agree(
    group: NamedGroup,
    key: &agreement::PrivateKey,
    share: &[u8],
    secret: &mut SharedSecret,
) -> Option<()> {
    if !is_well_formed(group, share) {
        return None;
    }
    let share = agreement::UnparsedPublicKey::new(key.algorithm(), share);
    agreement::agree(key, share, (), |shared| secret.push(shared).ok_or(())).ok()
}

/// Length and form of a share of a single (EC)DH group: aws-lc would take compressed points and DER as well.
fn is_well_formed(group: NamedGroup, share: &[u8]) -> bool {
    let point_of = |len: usize| share.len() == 1 + 2 * len && share.first() == Some(&UNCOMPRESSED);
    match group {
        NamedGroup::X25519 => share.len() == X25519_LEN,
        NamedGroup::SECP256R1 => point_of(32),
        NamedGroup::SECP384R1 => point_of(48),
        NamedGroup::SECP521R1 => point_of(66),
        _ => false,
    }
}

fn curve(group: NamedGroup) -> Option<&'static agreement::Algorithm> {
    match group {
        NamedGroup::SECP256R1 => Some(&agreement::ECDH_P256),
        NamedGroup::SECP384R1 => Some(&agreement::ECDH_P384),
        NamedGroup::SECP521R1 => Some(&agreement::ECDH_P521),
        _ => None,
    }
}

fn generate(algorithm: &'static agreement::Algorithm) -> Result<agreement::PrivateKey, Error> {
    tape::agreement_key(algorithm, || {
        agreement::PrivateKey::generate(algorithm).map_err(no_key)
    })
}

fn no_key(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::new(ErrorKind::Crypto("no key for the key exchange could be made"))
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Crypto("a group without implementation"))
}

/// Agreement with a given private key, for known answers.
#[cfg(test)]
pub(crate) fn agree_for_test(group: NamedGroup, private: &[u8], share: &[u8]) -> SharedSecret {
    let algorithm = if group == NamedGroup::X25519 {
        &agreement::X25519
    } else {
        curve(group).unwrap()
    };
    let key = agreement::PrivateKey::from_private_key(algorithm, private).unwrap();
    let mut secret = SharedSecret::new();
    agree(group, &key, share, &mut secret).unwrap();
    secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_vectors::hex;

    fn assert_bad_share<T: fmt::Debug>(result: Result<T, Error>, group: NamedGroup, what: &str) {
        let error = result.expect_err(what);
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadKeyShare(of)) if *of == group),
            "{what}: {error}"
        );
    }

    /// Both sides must refuse the share; `server_share` is what the client gets.
    fn assert_both_refuse(group: NamedGroup, client_share: &[u8], server_share: &[u8], what: &str) {
        assert_bad_share(respond(group, client_share), group, what);
        assert_bad_share(
            KeyExchange::start(&[group])
                .unwrap()
                .complete(group, server_share),
            group,
            what,
        );
    }

    #[test]
    fn both_sides_get_the_same_secret_in_every_group() {
        let client = KeyExchange::start(&SUPPORTED_GROUPS).unwrap();
        let shares = client.shares().unwrap();
        let lengths = [
            (1216, 1120, 64),
            (32, 32, 32),
            (65, 65, 32),
            (97, 97, 48),
            (133, 133, 66),
        ];
        for (((group, share), offered), lengths) in shares.iter().zip(SUPPORTED_GROUPS).zip(lengths) {
            assert_eq!(*group, offered);
            let (answer, ours) = respond(*group, share).unwrap();
            let theirs = client.complete(*group, &answer).unwrap();
            assert_eq!(ours.as_bytes(), theirs.as_bytes(), "{group}");
            assert_eq!(
                (share.len(), answer.len(), ours.as_bytes().len()),
                lengths,
                "{group}"
            );
        }
    }

    #[test]
    fn the_hybrid_and_the_plain_share_have_one_x25519_key() {
        let keys = KeyExchange::start(&[NamedGroup::X25519, NamedGroup::X25519MLKEM768]).unwrap();
        let shares = keys.shares().unwrap();
        assert_eq!(shares[0].1, shares[1].1[MLKEM768_KEY_LEN..]);
    }

    #[test]
    fn the_diffie_hellman_vector_of_rfc_7748_holds() {
        let secret = agree_for_test(
            NamedGroup::X25519,
            &hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
            &hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
        );
        assert_eq!(
            secret.as_bytes(),
            hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        );
    }

    #[test]
    fn shares_of_a_wrong_length_are_refused() {
        for (group, share) in KeyExchange::start(&SUPPORTED_GROUPS).unwrap().shares().unwrap() {
            let (answer, _) = respond(group, &share).unwrap();
            let longer = |bytes: &[u8]| [bytes, &[0]].concat();
            assert_both_refuse(group, &longer(&share), &longer(&answer), "one byte more");
            assert_both_refuse(group, &share[1..], &answer[1..], "one byte less");
            assert_both_refuse(group, &[], &[], "empty");
        }
    }

    #[test]
    fn points_in_other_forms_or_off_the_curve_are_refused() {
        let curves = [
            NamedGroup::SECP256R1,
            NamedGroup::SECP384R1,
            NamedGroup::SECP521R1,
        ];
        for (group, point) in KeyExchange::start(&curves).unwrap().shares().unwrap() {
            let parity = point.last().unwrap() & 1;
            let mut other = point[..point.len().div_ceil(2)].to_vec();
            other[0] = 2 | parity;
            assert_both_refuse(group, &other, &other, "compressed");
            let mut other = point.clone();
            other[0] = 6 | parity;
            assert_both_refuse(group, &other, &other, "hybrid form");
            let mut other = point.clone();
            *other.last_mut().unwrap() ^= 1;
            assert_both_refuse(group, &other, &other, "off the curve");
            assert_both_refuse(group, &[0], &[0], "infinity");
        }
    }

    #[test]
    fn an_x25519_share_that_gives_zero_is_refused() {
        assert_both_refuse(NamedGroup::X25519, &[0; 32], &[0; 32], "all zeros");
        let group = NamedGroup::X25519MLKEM768;
        let mut share = KeyExchange::start(&[group])
            .unwrap()
            .shares()
            .unwrap()
            .remove(0)
            .1;
        let (mut answer, _) = respond(group, &share).unwrap();
        share[MLKEM768_KEY_LEN..].fill(0);
        answer[MLKEM768_CIPHERTEXT_LEN..].fill(0);
        assert_both_refuse(group, &share, &answer, "all zeros in the hybrid");
    }

    #[test]
    fn an_mlkem_key_beyond_the_modulus_is_refused() {
        let group = NamedGroup::X25519MLKEM768;
        let mut share = KeyExchange::start(&[group])
            .unwrap()
            .shares()
            .unwrap()
            .remove(0)
            .1;
        // The first coefficient becomes 4095; the modulus is 3329.
        share[0] = 0xff;
        share[1] |= 0x0f;
        assert_bad_share(respond(group, &share), group, "coefficient out of range");
    }

    #[test]
    fn a_group_that_was_not_offered_is_refused() {
        let keys = KeyExchange::start(&[NamedGroup::X25519MLKEM768]).unwrap();
        let error = keys.complete(NamedGroup::X25519, &[9; 32]).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::NotOffered(_))),
            "{error}"
        );
        assert!(KeyExchange::start(&[NamedGroup::X448]).is_err());
        assert!(respond(NamedGroup::X448, &[0; 56]).is_err());
        assert!(!is_supported(NamedGroup::X448) && is_supported(NamedGroup::X25519));
    }

    #[test]
    fn no_secret_is_shown() {
        let keys = KeyExchange::start(&[NamedGroup::X25519]).unwrap();
        assert_eq!(format!("{keys:?}"), "KeyExchange([x25519])");
        assert_eq!(format!("{:?}", SharedSecret::new()), "SharedSecret(..)");
    }
}
