//! The client's proof that it has the key.

use super::*;
use tls_core::{CertifiedKey, HookError, Misbehaviour, PrivateKey, SignatureScheme, SigningKey};
use tls_tests::both_versions;
use tls_tests::hello::{record, records};
use tls_tests::pair::Outcome;

both_versions!(
    a_signature_over_something_else_is_no_proof,
    somebody_else_s_certificate_is_no_proof,
    a_scheme_that_was_not_offered_is_refused,
);

/// What the key does.
#[derive(Clone, Copy, Debug)]
enum Does {
    SignSomethingElse,
    SignWithAnotherKey,
}

/// A key that signs what it should not, and says that it needs no checking.
#[derive(Debug)]
struct Liar(SigningKey, Does);

impl PrivateKey for Liar {
    fn schemes(&self) -> &[SignatureScheme] {
        PrivateKey::schemes(&self.0)
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        match self.1 {
            Does::SignWithAnotherKey => PrivateKey::sign(&self.0, scheme, message, context),
            Does::SignSomethingElse => {
                let other = message.iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
                Answer::Now(SigningKey::sign(&self.0, scheme, &other).map_err(HookError::from))
            }
        }
    }

    fn is_self_checking(&self) -> bool {
        true
    }
}

fn lying(version: ProtocolVersion, does: Does) -> Outcome {
    let identity = issue(&good());
    let key = match does {
        Does::SignWithAnotherKey => issue(&good()).key(),
        Does::SignSomethingElse => identity.key(),
    };
    let key = Liar(SigningKey::from_der(&key).unwrap(), does);
    let certified = CertifiedKey::new(identity.chain(), Arc::new(key)).unwrap();
    let client = pair::client().certificate(certified).only(version);
    Pair::new(&client.build().unwrap(), &requiring(version)).run()
}

fn a_signature_over_something_else_is_no_proof(version: ProtocolVersion) {
    let error = lying(version, Does::SignSomethingElse).refused_by(Side::Server, A::DECRYPT_ERROR);
    assert!(matches!(
        error.kind(),
        ErrorKind::Misbehaved(Misbehaviour::BadSignature(
            SignatureScheme::ECDSA_SECP256R1_SHA256
        ))
    ));
}

fn somebody_else_s_certificate_is_no_proof(version: ProtocolVersion) {
    drop(lying(version, Does::SignWithAnotherKey).refused_by(Side::Server, A::DECRYPT_ERROR));
}

/// A key that signs with P-384 although nobody asked for that.
#[derive(Debug)]
struct Stubborn(SigningKey);

impl PrivateKey for Stubborn {
    fn schemes(&self) -> &[SignatureScheme] {
        // As if it were the only one of the list.
        &[SignatureScheme::ECDSA_SECP256R1_SHA256]
    }

    fn sign<'a>(
        &'a self,
        _: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        PrivateKey::sign(&self.0, SignatureScheme::ECDSA_SECP384R1_SHA384, message, context)
    }

    fn is_self_checking(&self) -> bool {
        true
    }
}

fn a_scheme_that_was_not_offered_is_refused(version: ProtocolVersion) {
    // It says P-256 with a key on P-384: the scheme does not fit (section 4.2.3); in TLS 1.2 it names the hash alone.
    let identity = issue(&Leaf::new(KeyType::P384, &["client.test"]).client());
    let key = Stubborn(SigningKey::from_der(&identity.key()).unwrap());
    let certified = CertifiedKey::new(identity.chain(), Arc::new(key)).unwrap();
    let client = pair::client().certificate(certified).only(version);
    let outcome = Pair::new(&client.build().unwrap(), &requiring(version)).run();
    drop(outcome.refused_by(
        Side::Server,
        match version {
            ProtocolVersion::TLS13 => A::ILLEGAL_PARAMETER,
            _ => A::DECRYPT_ERROR,
        },
    ));
}

/// The messages of the client's second flight of TLS 1.2, changed on their way.
fn with_messages(change: impl Fn(&mut Vec<Vec<u8>>)) -> Outcome {
    let client = client(ProtocolVersion::TLS12, Some(&issue(&good())));
    Pair::new(&client, &requiring(ProtocolVersion::TLS12))
        .mutated(|sender, flight, bytes| {
            if (sender, flight) != (Side::Client, 1) {
                return;
            }
            let all = records(bytes);
            let mut messages = Vec::new();
            let mut content = &all[0].1[..];
            while let [_, high, middle, low, ..] = content {
                let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
                let (message, rest) = content.split_at(4 + length);
                messages.push(message.to_vec());
                content = rest;
            }
            let types: Vec<_> = messages.iter().map(|message| message[0]).collect();
            assert_eq!(types, [11, 16, 15]);
            change(&mut messages);
            let rest = all[1..].iter().map(|(of, content)| record(*of, content));
            *bytes = [record(22, &messages.concat()), rest.collect::<Vec<_>>().concat()].concat();
        })
        .run()
}

#[test]
fn in_tls12_every_message_before_the_proof_is_under_it() {
    // The last byte of the signature, of the client's public key, and the scheme.
    drop(
        with_messages(|messages| *messages[2].last_mut().unwrap() ^= 1)
            .refused_by(Side::Server, A::DECRYPT_ERROR),
    );
    let error = with_messages(|messages| messages[2][4..6].copy_from_slice(&[0x02, 0x03]))
        .refused_by(Side::Server, A::ILLEGAL_PARAMETER);
    assert!(matches!(
        error.kind(),
        ErrorKind::Misbehaved(Misbehaviour::NotOffered("signature scheme"))
    ));
}

#[test]
fn in_tls12_the_proof_must_follow_a_certificate_and_nothing_else() {
    for change in [
        |messages: &mut Vec<Vec<u8>>| drop(messages.pop()),
        |messages: &mut Vec<Vec<u8>>| messages.swap(0, 1),
        |messages: &mut Vec<Vec<u8>>| messages.swap(1, 2),
        |messages: &mut Vec<Vec<u8>>| drop(messages.remove(0)),
        // Without a chain there is nothing to prove.
        |messages: &mut Vec<Vec<u8>>| messages[0] = vec![11, 0, 0, 3, 0, 0, 0],
    ] {
        let outcome = with_messages(change);
        let pair::Became::Failed(error) = &outcome.server else {
            panic!("{outcome:?}")
        };
        let alert = error.alert().unwrap();
        assert!(
            [A::UNEXPECTED_MESSAGE, A::HANDSHAKE_FAILURE].contains(&alert),
            "{error}"
        );
        drop(outcome.refused_by(Side::Server, alert));
    }
}
