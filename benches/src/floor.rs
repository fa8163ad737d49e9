//! What a full handshake cannot do without: public-key operations, key schedule and transcript hash, by bare aws-lc-rs
//! in the fastest form it offers. No messages, no certificates parsed, no records.

use std::hint::black_box;

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
};

use crate::stack::Group;

/// Bytes of the signed part of each certificate.
const SIGNED: [usize; 2] = [370, 330];
/// Bytes that a CertificateVerify signs.
const HANDSHAKE: usize = 130;
/// Bytes of each message with the harness's chain, but for the key shares: ClientHello and ServerHello,
/// EncryptedExtensions and Certificate, CertificateVerify, Finished.
const MESSAGES: [usize; 4] = [300, 910, 79, 36];
/// Bytes of an HkdfLabel with a transcript hash, and without.
pub(crate) const INFO: [usize; 2] = [54, 19];

/// The server's key, and signatures for the client to verify.
pub struct Floor {
    hybrid: bool,
    key: EcdsaKeyPair,
    signed: Vec<(Vec<u8>, Vec<u8>)>,
    handshake: Vec<u8>,
    messages: [Vec<u8>; 4],
}

/// The client's private keys.
pub struct ClientKeys {
    x25519: PrivateKey,
    mlkem: Option<DecapsulationKey>,
}

/// Public keys, or a public key and a ciphertext.
pub struct Shares {
    x25519: Vec<u8>,
    mlkem: Option<Vec<u8>>,
    /// The server's. Fresh each time, since verifying the same one again is 3 µs faster.
    signature: Vec<u8>,
}

impl Floor {
    /// For a client that sends shares for these groups, the first of which is chosen.
    pub fn new(groups: &[Group]) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signed = SIGNED.map(|length| {
            let message = vec![7; length];
            let signature = key.sign(&SystemRandom::new(), &message).unwrap();
            (message, signature.as_ref().to_vec())
        });
        let hybrid = groups.first() == Some(&Group::X25519MlKem768);
        // Each hello has a share of more than 1 KiB.
        let shares = if hybrid { 2 * 1136 } else { 0 };
        let [hellos, rest @ ..] = MESSAGES;
        Self {
            hybrid,
            key,
            signed: signed.to_vec(),
            handshake: vec![7; HANDSHAKE],
            messages: [hellos + shares, rest[0], rest[1], rest[2]].map(|length| vec![3; length]),
        }
    }

    /// The client's key pairs.
    pub fn client_shares(&self) -> (ClientKeys, Shares) {
        let x25519 = PrivateKey::generate(&X25519).unwrap();
        let public = x25519.compute_public_key().unwrap().as_ref().to_vec();
        let mlkem = self
            .hybrid
            .then(|| DecapsulationKey::generate(&ML_KEM_768).unwrap());
        let mlkem_public = mlkem.as_ref().map(|key| {
            let public = key.encapsulation_key().unwrap();
            public.key_bytes().unwrap().as_ref().to_vec()
        });
        let shares = Shares {
            x25519: public,
            mlkem: mlkem_public,
            signature: Vec::new(),
        };
        (ClientKeys { x25519, mlkem }, shares)
    }

    /// All of the server.
    pub fn server(&self, client: &Shares) -> Shares {
        let mut secret = Vec::with_capacity(64);
        let mlkem = client.mlkem.as_ref().map(|key| {
            let (ciphertext, shared) = EncapsulationKey::new(&ML_KEM_768, key)
                .unwrap()
                .encapsulate()
                .unwrap();
            secret.extend_from_slice(shared.as_ref());
            ciphertext.as_ref().to_vec()
        });
        let key = PrivateKey::generate(&X25519).unwrap();
        agree(&key, &client.x25519, &mut secret);
        self.schedule(&secret);
        let signature = self.key.sign(&SystemRandom::new(), &self.handshake).unwrap();
        Shares {
            x25519: key.compute_public_key().unwrap().as_ref().to_vec(),
            mlkem,
            signature: signature.as_ref().to_vec(),
        }
    }

    /// The client after the server's answer.
    pub fn client(&self, keys: ClientKeys, server: &Shares) {
        let mut secret = Vec::with_capacity(64);
        if let (Some(key), Some(ciphertext)) = (&keys.mlkem, &server.mlkem) {
            let shared = key.decapsulate(ciphertext.as_slice().into()).unwrap();
            secret.extend_from_slice(shared.as_ref());
        }
        agree(&keys.x25519, &server.x25519, &mut secret);
        self.schedule(&secret);
        let chain = self.signed.iter().map(|(message, made)| (message, made));
        for (message, made) in chain.chain([(&self.handshake, &server.signature)]) {
            signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.public_key().as_ref())
                .verify(message, made)
                .unwrap();
        }
    }

    /// Section 7.1 without a PSK, and the transcript's hash at the four places that need it.
    fn schedule(&self, shared_secret: &[u8]) {
        let mut transcript = Context::new(&SHA256);
        for message in &self.messages {
            transcript.update(message);
            black_box(transcript.clone().finish());
        }
        transcript.update(&self.messages[3]);
        // The early secret is a constant.
        let handshake = hmac::sign(&hmac::Key::new(HMAC_SHA256, &[1; 32]), shared_secret);
        let handshake = hmac::Key::new(HMAC_SHA256, handshake.as_ref());
        for _ in 0..2 {
            let traffic = hmac::Key::new(HMAC_SHA256, expand(&handshake, INFO[0]).as_ref());
            let finished = expand(&traffic, INFO[1]);
            expand(&traffic, INFO[1]);
            expand(&traffic, INFO[1]);
            black_box(hmac::sign(
                &hmac::Key::new(HMAC_SHA256, finished.as_ref()),
                &[4; 32],
            ));
        }
        let derived = expand(&handshake, INFO[0]);
        let main = hmac::sign(&hmac::Key::new(HMAC_SHA256, derived.as_ref()), &[0; 32]);
        let main = hmac::Key::new(HMAC_SHA256, main.as_ref());
        for _ in 0..2 {
            let traffic = hmac::Key::new(HMAC_SHA256, expand(&main, INFO[0]).as_ref());
            expand(&traffic, INFO[1]);
            expand(&traffic, INFO[1]);
        }
        // The exporter's.
        expand(&main, INFO[0]);
    }
}

pub(crate) fn expand(key: &hmac::Key, info: usize) -> hmac::Tag {
    black_box(hmac::sign(key, &[5; 64][..info]))
}

pub(crate) fn agree(key: &PrivateKey, public: &[u8], secret: &mut Vec<u8>) {
    agreement::agree(
        key,
        UnparsedPublicKey::new(&X25519, public),
        aws_lc_rs::error::Unspecified,
        |shared| {
            secret.extend_from_slice(shared);
            Ok(())
        },
    )
    .unwrap();
}
