//! The bare AEAD on records: the floor of everything that moves data.

use std::hint::black_box;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::stack::Suite;

/// The most plaintext that a record holds (TLS 1.3 section 5.1).
pub const MAX_RECORD: usize = 16 * 1024;
/// Content type and tag.
const OVERHEAD: usize = 17;

/// A key with room for the records of one write.
pub struct BareAead {
    key: LessSafeKey,
    plaintext: Vec<u8>,
    records: Vec<Vec<u8>>,
}

impl BareAead {
    /// For writes of so many bytes.
    pub fn new(suite: Suite, write: usize) -> Self {
        let (algorithm, length) = match suite {
            Suite::Aes128Gcm => (&aead::AES_128_GCM, 16),
            Suite::Aes256Gcm => (&aead::AES_256_GCM, 32),
            Suite::ChaCha20Poly1305 => (&aead::CHACHA20_POLY1305, 32),
        };
        let plaintext = vec![0x5a; write];
        let records = plaintext
            .chunks(MAX_RECORD)
            .map(|chunk| vec![0; chunk.len() + OVERHEAD])
            .collect();
        Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32][..length]).unwrap()),
            plaintext,
            records,
        }
    }

    /// Seals a write out of place, content type and tag behind it.
    pub fn seal(&mut self) {
        for (chunk, record) in self.plaintext.chunks(MAX_RECORD).zip(&mut self.records) {
            let (body, rest) = record.split_at_mut(chunk.len());
            self.key
                .seal_out_of_place_scatter(nonce(), Aad::from([23, 3, 3, 64, 17]), chunk, body, &[23], rest)
                .unwrap();
            black_box(&record);
        }
    }

    /// Opens, in place, what was sealed before.
    pub fn open(&mut self) {
        for record in &mut self.records {
            let opened = self
                .key
                .open_in_place(nonce(), Aad::from([23, 3, 3, 64, 17]), record)
                .unwrap();
            black_box(opened);
        }
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([9; 12])
}
