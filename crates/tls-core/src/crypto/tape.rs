//! A tape of everything random, so that a recorded connection can be replayed byte for byte. For tests alone.
//!
//! Compiled with the feature `dangerous-recorded-crypto` in builds with debug assertions, and nowhere else: a release
//! build cannot have it, whatever features are unified into it. Even then nothing happens but on a thread that is
//! inside [`record`] or [`replay`].
//!
//! The library seeds neither ECDSA nor RSA-PSS nor the encapsulation of ML-KEM, so the tape has the outputs of whole
//! operations: random bytes, private keys of a key exchange, encapsulations, signatures. Ed25519 and PKCS #1 v1.5 are
//! deterministic and are done again in a replay.

use std::cell::RefCell;

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::{agreement, digest, kem};

/// One operation on the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapeEntry {
    /// What it was: `random`, `x25519`, `secp256r1`, `secp384r1`, `secp521r1`, `mlkem768-key`,
    /// `mlkem768-encapsulation`, `signature`.
    pub operation: String,
    /// The first bytes of the SHA-256 of what it was applied to: the signed content, the key that was encapsulated for.
    pub input: [u8; 8],
    /// What it gave. Private keys among it.
    pub output: Vec<u8>,
}

impl TapeEntry {
    /// An entry as it was read from somewhere.
    #[must_use]
    pub fn new(operation: impl Into<String>, input: [u8; 8], output: Vec<u8>) -> Self {
        Self {
            operation: operation.into(),
            input,
            output,
        }
    }
}

#[derive(Default)]
struct Tape {
    /// What there is to play.
    entries: Vec<TapeEntry>,
    /// Where outputs come from instead.
    seeded: Option<Seeded>,
    /// How many of them were played, or passed over.
    played: usize,
    /// What was done, while recording.
    recorded: Option<Vec<TapeEntry>>,
    departures: Vec<String>,
}

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// Takes the tape out when the closure is left, also by a panic.
struct Inserted;

impl Inserted {
    fn new(tape: Tape) -> Self {
        TAPE.with_borrow_mut(|slot| *slot = Some(tape));
        Self
    }

    fn eject(self) -> Option<Tape> {
        TAPE.take()
    }
}

impl Drop for Inserted {
    fn drop(&mut self) {
        TAPE.set(None);
    }
}

/// Runs this and writes down what is random in what it does on this thread. Where an older tape has a fitting output it
/// is used once more, so that two recordings of the same thing differ in what must differ.
pub fn record<T>(older: Vec<TapeEntry>, run: impl FnOnce() -> T) -> (T, Vec<TapeEntry>) {
    let inserted = Inserted::new(Tape {
        entries: older,
        recorded: Some(Vec::new()),
        ..Tape::default()
    });
    let result = run();
    let tape = inserted.eject();
    (result, tape.and_then(|tape| tape.recorded).unwrap_or_default())
}

/// Runs this with what is on the tape, and says where it departed from it. There the operation is done afresh, so that
/// the difference shows where it is made, and the tape goes on with the entry that follows.
pub fn replay<T>(entries: Vec<TapeEntry>, run: impl FnOnce() -> T) -> (T, Vec<String>) {
    let inserted = Inserted::new(Tape {
        entries,
        ..Tape::default()
    });
    let result = run();
    let Some(mut tape) = inserted.eject() else {
        return (result, Vec::new());
    };
    let left = tape.entries.len().saturating_sub(tape.played);
    if left > 0 {
        tape.departures
            .push(format!("{left} recorded operations were not asked for"));
    }
    (result, tape.departures)
}

/// Runs this with random bytes and private keys of Diffie-Hellman that follow from a number, the same each time: for
/// fuzzers, whose inputs shall do the same thing twice. What cannot be seeded (ML-KEM, ECDSA, RSA-PSS) is random still.
pub fn seeded<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    let inserted = Inserted::new(Tape {
        seeded: Some(Seeded { seed, blocks: 0 }),
        ..Tape::default()
    });
    let result = run();
    drop(inserted);
    result
}

/// Bytes that follow from a number.
struct Seeded {
    seed: u64,
    blocks: u64,
}

impl Seeded {
    fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let name = [self.seed.to_be_bytes(), self.blocks.to_be_bytes()].concat();
            bytes.extend_from_slice(digest::digest(&digest::SHA256, &name).as_ref());
            self.blocks = self.blocks.saturating_add(1);
        }
        bytes.truncate(len);
        bytes
    }
}

/// An output from the tape, or one that is made now (and recorded); as it is without a tape. `len` is how many bytes of
/// any value are an output too, if there is such a number.
fn output<E>(
    operation: &str,
    input: &[u8],
    len: Option<usize>,
    fits: impl Fn(&[u8]) -> bool,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let hash = digest::digest(&digest::SHA256, input);
    let input = *hash.as_ref().first_chunk::<8>().unwrap_or(&[0; 8]);
    let found = TAPE.with_borrow_mut(|tape| {
        let tape = tape.as_mut()?;
        match &mut tape.seeded {
            Some(seeded) => len.map(|len| seeded.take(len)).filter(|made| fits(made)),
            None => tape.next(operation, input, fits),
        }
    });
    let made = match found {
        Some(found) => found,
        None => make()?,
    };
    TAPE.with_borrow_mut(|tape| {
        if let Some(recorded) = tape.as_mut().and_then(|tape| tape.recorded.as_mut()) {
            recorded.push(TapeEntry::new(operation, input, made.clone()));
        }
    });
    Ok(made)
}

impl Tape {
    fn next(&mut self, operation: &str, input: [u8; 8], fits: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        if self.recorded.is_some() {
            return self.next_fitting(operation, input, fits);
        }
        let place = self.played;
        self.played = place.saturating_add(1);
        let Some(entry) = self.entries.get(place) else {
            self.departures.push(format!("{operation}: the tape has ended"));
            return None;
        };
        let departure = if entry.operation != operation {
            format!("{operation}: entry {place} of the tape is {}", entry.operation)
        } else if entry.input != input {
            format!("{operation}: entry {place} of the tape was made for another input")
        } else if !fits(&entry.output) {
            format!("{operation}: entry {place} of the tape has another length")
        } else {
            return Some(entry.output.clone());
        };
        self.departures.push(departure);
        None
    }

    /// The next that fits, passing over what does not.
    fn next_fitting(
        &mut self,
        operation: &str,
        input: [u8; 8],
        fits: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let rest = self.entries.get(self.played..)?;
        let is_it =
            |entry: &TapeEntry| entry.operation == operation && entry.input == input && fits(&entry.output);
        let passed = rest.iter().position(is_it)?;
        let found = rest.get(passed)?.output.clone();
        self.played = self.played.saturating_add(passed).saturating_add(1);
        Some(found)
    }
}

fn is_inserted() -> bool {
    TAPE.with_borrow(Option::is_some)
}

/// Random bytes.
pub(crate) fn fill<E>(out: &mut [u8], make: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
    if !is_inserted() {
        return make(out);
    }
    let len = out.len();
    let made = output(
        "random",
        &[],
        Some(len),
        |recorded| recorded.len() == len,
        || {
            let mut made = vec![0; len];
            make(&mut made).map(|()| made)
        },
    )?;
    out.iter_mut().zip(made).for_each(|(to, from)| *to = from);
    Ok(())
}

/// A signature that is not the same each time.
pub(crate) fn signature<E>(message: &[u8], make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    if !is_inserted() {
        return make();
    }
    output("signature", message, None, |_| true, make)
}

/// A private key for Diffie-Hellman.
pub(crate) fn agreement_key<E>(
    algorithm: &'static agreement::Algorithm,
    make: impl Fn() -> Result<agreement::PrivateKey, E>,
) -> Result<agreement::PrivateKey, E> {
    if !is_inserted() {
        return make();
    }
    let (operation, len) = match algorithm {
        _ if *algorithm == agreement::X25519 => ("x25519", Some(32)),
        _ if *algorithm == agreement::ECDH_P256 => ("secp256r1", Some(32)),
        _ if *algorithm == agreement::ECDH_P384 => ("secp384r1", Some(48)),
        // Of 66 bytes few are below its order.
        _ => ("secp521r1", None),
    };
    let read = |bytes: &[u8]| agreement::PrivateKey::from_private_key(algorithm, bytes).ok();
    let make_bytes = || make().map(|key| private_bytes(&key));
    let bytes = output(operation, &[], len, |bytes| read(bytes).is_some(), make_bytes)?;
    read(&bytes).map_or_else(make, Ok)
}

fn private_bytes(key: &agreement::PrivateKey) -> Vec<u8> {
    let curve: Result<EcPrivateKeyBin<'_>, _> = key.as_be_bytes();
    let x25519: Result<Curve25519SeedBin<'_>, _> = key.as_be_bytes();
    match (curve, x25519) {
        (Ok(bytes), _) => bytes.as_ref().to_vec(),
        (_, Ok(bytes)) => bytes.as_ref().to_vec(),
        (Err(_), Err(_)) => Vec::new(),
    }
}

/// A private key of ML-KEM-768, in its expanded form on the tape: the library reads no seeds.
pub(crate) fn decapsulation_key<E>(
    make: impl Fn() -> Result<kem::DecapsulationKey, E>,
) -> Result<kem::DecapsulationKey, E> {
    if !is_inserted() {
        return make();
    }
    let read = |bytes: &[u8]| kem::DecapsulationKey::new(&kem::ML_KEM_768, bytes).ok();
    let bytes = output(
        "mlkem768-key",
        &[],
        None,
        |bytes| read(bytes).is_some(),
        || {
            make().map(|key| {
                key.key_bytes()
                    .map_or_else(|_| Vec::new(), |bytes| bytes.as_ref().to_vec())
            })
        },
    )?;
    read(&bytes).map_or_else(make, Ok)
}

/// Where the public key lies in an expanded private key of ML-KEM-768 (FIPS 203, algorithm 16).
const PUBLIC_IN_PRIVATE: core::ops::Range<usize> = 1152..1152 + 1184;

/// The public key of a private one that was read from its bytes, from which the library does not give it.
pub(crate) fn public_of(key: &kem::DecapsulationKey) -> Option<Vec<u8>> {
    let bytes = key.key_bytes().ok()?;
    Some(bytes.as_ref().get(PUBLIC_IN_PRIVATE)?.to_vec())
}

/// Hands the ciphertext and the secret of an encapsulation for this key to `take`. `None` if the key is bad.
pub(crate) fn encapsulate<T>(key: &[u8], take: impl FnOnce(&[u8], &[u8]) -> T) -> Option<T> {
    let made = output(
        "mlkem768-encapsulation",
        key,
        None,
        |bytes| bytes.len() > SECRET_LEN,
        || {
            super::key_exchange::encapsulate(key, |ciphertext, secret| [secret, ciphertext].concat())
                .ok_or(())
        },
    );
    let made = made.ok()?;
    let (secret, ciphertext) = made.split_at_checked(SECRET_LEN)?;
    Some(take(ciphertext, secret))
}

/// Bytes of the shared secret of ML-KEM, which stands before the ciphertext on the tape.
const SECRET_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key_exchange::{KeyExchange, SUPPORTED_GROUPS, respond};
    use crate::crypto::random;
    use crate::registry::{NamedGroup, SignatureScheme};
    use crate::{PrivateKeyDer, SigningKey};

    /// One of each operation.
    fn work(key: &SigningKey) -> Vec<Vec<u8>> {
        let mut bytes = [0; 40];
        random::fill(&mut bytes).unwrap();
        let mut made = vec![bytes.to_vec()];
        let keys = KeyExchange::start(&SUPPORTED_GROUPS).unwrap();
        for (group, share) in keys.shares().unwrap() {
            let (answer, secret) = respond(group, &share).unwrap();
            let theirs = keys.complete(group, &answer).unwrap();
            assert_eq!(theirs.as_bytes(), secret.as_bytes(), "{group}");
            made.extend([share, answer, secret.as_bytes().to_vec()]);
        }
        made.push(
            key.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, b"content")
                .unwrap(),
        );
        made
    }

    #[test]
    fn what_follows_from_a_number_is_the_same_each_time() {
        let work = || {
            let mut bytes = [0; 40];
            random::fill(&mut bytes).unwrap();
            let groups = [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
            let shares = KeyExchange::start(&groups).unwrap().shares().unwrap();
            (bytes, shares)
        };
        let first = seeded(1, work);
        assert_eq!(seeded(1, work), first);
        let other = seeded(2, work);
        assert!(other.0 != first.0 && other.1.iter().zip(&first.1).all(|(a, b)| a != b));
        assert_ne!(work(), first, "nothing is seeded any more");
    }

    fn key() -> SigningKey {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        SigningKey::from_der(&PrivateKeyDer::Pkcs8(made.serialize_der().into())).unwrap()
    }

    #[test]
    fn what_was_recorded_is_made_again() {
        let key = key();
        let (first, tape) = record(Vec::new(), || work(&key));
        let (again, departures) = replay(tape.clone(), || work(&key));
        assert_eq!(first, again);
        assert_eq!(departures, [""; 0]);
        assert_ne!(work(&key), first, "the tape is out again");
        let (_, departures) = replay(tape, || ());
        assert_eq!(departures.len(), 1, "{departures:?}");
    }

    #[test]
    fn a_signature_over_other_content_is_not_that_of_the_tape() {
        let key = key();
        let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
        let (made, tape) = record(Vec::new(), || key.sign(scheme, b"content").unwrap());
        let (again, departures) = replay(tape, || key.sign(scheme, b"contents").unwrap());
        assert_ne!(made, again);
        assert_eq!(
            departures,
            ["signature: entry 0 of the tape was made for another input"]
        );
    }

    #[test]
    fn a_second_recording_takes_from_the_first_what_fits() {
        let draw = |len: usize| {
            let mut bytes = vec![0; len];
            random::fill(&mut bytes).unwrap();
            bytes
        };
        let (first, older) = record(Vec::new(), || [draw(20), draw(30)]);
        let (second, newer) = record(older.clone(), || [draw(30), draw(40)]);
        assert_eq!(first[1], second[0]);
        let lengths: Vec<usize> = newer.iter().map(|entry| entry.output.len()).collect();
        assert_eq!(lengths, [30, 40]);
        let (third, newer) = record(older.clone(), || [draw(20), draw(30)]);
        assert_eq!((first, older), (third, newer));
    }

    #[test]
    fn a_panic_takes_the_tape_out() {
        let panicked = std::panic::catch_unwind(|| record(Vec::new(), || panic!("in the middle")));
        assert!(panicked.is_err());
        assert!(!is_inserted());
    }
}
