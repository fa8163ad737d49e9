//! What a resumed handshake cannot do without, as [`crate::floor`] has it for a full one: the key exchange (TLS 1.3
//! only), the key schedule and the transcript hash; and of the server a random, and the ticket opened and new ones
//! sealed, with AES-256-GCM-SIV.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;

use crate::floor::{INFO, agree, expand};
use crate::stack::Resumption;

/// Bytes of TLS 1.3 between the places whose hash is needed: ClientHello without the binders, ServerHello,
/// EncryptedExtensions, Finished.
const MESSAGES: [usize; 4] = [395, 96, 12, 36];
/// What follows in the ClientHello.
const BINDERS: usize = 35;
/// The same for TLS 1.2: both hellos, Finished.
const MESSAGES12: [usize; 3] = [370, 90, 16];
/// Bytes of a session, and what a ticket authenticates beside it.
const SESSION: usize = 90;
const AAD: [u8; 32] = [3; 32];

/// The keys of tickets, and a ticket.
pub struct Floor {
    way: Resumption,
    ticket_key: [u8; 32],
    ticket: Vec<u8>,
}

/// One side's key pair, where there is one.
pub struct Share {
    key: Option<PrivateKey>,
    public: Vec<u8>,
}

impl Floor {
    /// For this way to resume.
    pub fn new(way: Resumption) -> Self {
        let ticket_key = [9; 32];
        Self {
            way,
            ticket: seal(&ticket_key),
            ticket_key,
        }
    }

    /// The client's key pair.
    pub fn client_share(&self) -> Share {
        let Resumption::Tickets(_) = self.way else {
            random();
            return Share {
                key: None,
                public: Vec::new(),
            };
        };
        random();
        share()
    }

    /// All of the server.
    pub fn server(&self, client: &Share) -> Share {
        random();
        if self.way != Resumption::SessionId {
            self.open();
        }
        let Resumption::Tickets(count) = self.way else {
            schedule12();
            return Share {
                key: None,
                public: Vec::new(),
            };
        };
        let server = share();
        let mut secret = Vec::with_capacity(32);
        agree(server.key.as_ref().unwrap(), &client.public, &mut secret);
        schedule(&secret, count);
        for _ in 0..count {
            random();
            black_box(seal(&self.ticket_key));
        }
        server
    }

    /// The client after the server's answer.
    pub fn client(&self, client: Share, server: &Share) {
        match (self.way, client.key) {
            (Resumption::Tickets(count), Some(key)) => {
                let mut secret = Vec::with_capacity(32);
                agree(&key, &server.public, &mut secret);
                schedule(&secret, count);
            }
            _ => schedule12(),
        }
    }

    fn open(&self) {
        let mut ticket = self.ticket.clone();
        let opened = siv(&self.ticket_key)
            .open_in_place(Nonce::assume_unique_for_key([4; 12]), Aad::from(AAD), &mut ticket)
            .unwrap()
            .len();
        assert_eq!(opened, SESSION);
    }
}

fn random() {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).unwrap();
    black_box(bytes);
}

fn share() -> Share {
    let key = PrivateKey::generate(&X25519).unwrap();
    let public = key.compute_public_key().unwrap().as_ref().to_vec();
    Share {
        key: Some(key),
        public,
    }
}

fn siv(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).unwrap())
}

fn seal(key: &[u8; 32]) -> Vec<u8> {
    let mut ticket = vec![7; SESSION];
    siv(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([4; 12]), Aad::from(AAD), &mut ticket)
        .unwrap();
    ticket
}

fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(HMAC_SHA256, secret)
}

/// Section 7.1 with a PSK, its binder, the PSKs of so many tickets, and the transcript's hash at the five places that
/// need it.
fn schedule(shared_secret: &[u8], tickets: u8) {
    let mut transcript = Context::new(&SHA256);
    let [hello, rest @ ..] = MESSAGES;
    transcript.update(&[3; 512][..hello]);
    black_box(transcript.clone().finish());
    transcript.update(&[3; BINDERS]);
    for length in rest {
        transcript.update(&[3; 512][..length]);
        black_box(transcript.clone().finish());
    }
    transcript.update(&[3; 36]);
    black_box(transcript.finish());

    let early = key(hmac::sign(&key(&[0; 32]), &[1; 32]).as_ref());
    let binder = key(expand(&early, INFO[0]).as_ref());
    let binder = key(expand(&binder, INFO[1]).as_ref());
    black_box(hmac::sign(&binder, &[4; 32]));
    let derived = key(expand(&early, INFO[0]).as_ref());
    let handshake = key(hmac::sign(&derived, shared_secret).as_ref());
    for _ in 0..2 {
        let traffic = key(expand(&handshake, INFO[0]).as_ref());
        let finished = expand(&traffic, INFO[1]);
        expand(&traffic, INFO[1]);
        expand(&traffic, INFO[1]);
        black_box(hmac::sign(&key(finished.as_ref()), &[4; 32]));
    }
    let derived = key(expand(&handshake, INFO[0]).as_ref());
    let main = key(hmac::sign(&derived, &[0; 32]).as_ref());
    for _ in 0..2 {
        let traffic = key(expand(&main, INFO[0]).as_ref());
        expand(&traffic, INFO[1]);
        expand(&traffic, INFO[1]);
    }
    // The exporter's, and that of the tickets.
    expand(&main, INFO[0]);
    let resumption = key(expand(&main, INFO[0]).as_ref());
    for _ in 0..tickets {
        expand(&resumption, INFO[1]);
    }
}

/// RFC 5246 section 6.3 and both Finished: two blocks of keys and IVs, one for each Finished, all under one key.
fn schedule12() {
    let mut transcript = Context::new(&SHA256);
    for length in MESSAGES12 {
        transcript.update(&[3; 512][..length]);
        black_box(transcript.clone().finish());
    }
    let main = key(&[1; 48]);
    for _ in 0..2 + 1 + 1 {
        // A(i), and the block that it makes.
        let a = hmac::sign(&main, &[5; 64]);
        let mut block = hmac::Context::with_key(&main);
        block.update(a.as_ref());
        block.update(&[5; 77]);
        black_box(block.sign());
    }
}
