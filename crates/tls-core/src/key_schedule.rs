//! The key schedule of TLS 1.3 (section 7.1), as types that only go forward:
//! [`EarlySchedule`] → [`HandshakeSchedule`] → [`MainSecret`].
//!
//! What lives long are plain secrets. The HMAC keys that derive from them are made, used and dropped within one
//! function, one for each secret.

use zeroize::Zeroize;

use crate::crypto::constant_time_eq;
use crate::crypto::hash::{HashAlgorithm, HashValue, hash};
use crate::crypto::hkdf::{Expander, Label, MAX_LABEL_LEN, Secret, extract, hmac, hmac_verify};
use crate::error::{Error, Misuse};

const DERIVED: Label = Label::new("derived");

const CLIENT_HANDSHAKE_TRAFFIC: Label = Label::new("c hs traffic");
const SERVER_HANDSHAKE_TRAFFIC: Label = Label::new("s hs traffic");
const CLIENT_APPLICATION_TRAFFIC: Label = Label::new("c ap traffic");
const SERVER_APPLICATION_TRAFFIC: Label = Label::new("s ap traffic");
const EXPORTER: Label = Label::new("exp master");

const FINISHED: Label = Label::new("finished");
const KEY: Label = Label::new("key");
const IV: Label = Label::new("iv");
const TRAFFIC_UPDATE: Label = Label::new("traffic upd");

/// The early secret "derived" further when there is no PSK: constants, since no input varies.
const SHA256_DERIVED_WITHOUT_PSK: [u8; 32] = [
    0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16,
    0xc0, 0x76, 0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba,
];
const SHA384_DERIVED_WITHOUT_PSK: [u8; 48] = [
    0x15, 0x91, 0xda, 0xc5, 0xcb, 0xbf, 0x03, 0x30, 0xa4, 0xa8, 0x4d, 0xe9, 0xc7, 0x53, 0x33, 0x0e, 0x92,
    0xd0, 0x1f, 0x0a, 0x88, 0x21, 0x4b, 0x44, 0x64, 0x97, 0x2f, 0xd6, 0x68, 0x04, 0x9e, 0x93, 0xe5, 0x2f,
    0x2b, 0x16, 0xfa, 0xd9, 0x22, 0xfd, 0xc0, 0x58, 0x44, 0x78, 0x42, 0x8f, 0x28, 0x2b,
];

mod resumption;

pub(crate) use resumption::{PskOrigin, PskSchedule, ResumptionSecret};

/// Up to the shared secret of the key exchange.
#[derive(Debug)]
pub(crate) struct EarlySchedule {
    hash: HashAlgorithm,
    /// Input of the next extraction.
    derived: Secret,
}

impl EarlySchedule {
    /// The schedule of a handshake without PSK; costs nothing.
    pub(crate) const fn without_psk(hash: HashAlgorithm) -> Self {
        let derived = match hash {
            HashAlgorithm::Sha256 => Secret::from_array(SHA256_DERIVED_WITHOUT_PSK),
            HashAlgorithm::Sha384 => Secret::from_array(SHA384_DERIVED_WITHOUT_PSK),
        };
        Self { hash, derived }
    }

    /// Mixes the shared secret of the key exchange in; `transcript_hash` covers ClientHello...ServerHello.
    pub(crate) fn into_handshake(
        self,
        shared_secret: &[u8],
        transcript_hash: &HashValue,
    ) -> HandshakeSchedule {
        HandshakeSchedule::new(self.hash, &self.derived, shared_secret, transcript_hash)
    }
}

/// The secrets after the ServerHello.
#[derive(Debug)]
pub(crate) struct HandshakeSchedule {
    pub(crate) client: TrafficSecret,
    pub(crate) server: TrafficSecret,
    pub(crate) main: MainSecret,
}

impl HandshakeSchedule {
    fn new(hash: HashAlgorithm, derived: &Secret, shared_secret: &[u8], transcript_hash: &HashValue) -> Self {
        let handshake = extract(hash, derived.as_bytes(), shared_secret);
        let (client, server, derived) = {
            let expander = Expander::new(hash, &handshake);
            (
                expander.secret(CLIENT_HANDSHAKE_TRAFFIC, transcript_hash),
                expander.secret(SERVER_HANDSHAKE_TRAFFIC, transcript_hash),
                expander.secret(DERIVED, hash.of_empty()),
            )
        };
        // Nothing else goes into the main secret, so the handshake secret need not live on.
        let main = extract(hash, derived.as_bytes(), Secret::zeros(hash).as_bytes());
        Self {
            client: TrafficSecret { hash, secret: client },
            server: TrafficSecret { hash, secret: server },
            main: MainSecret { hash, secret: main },
        }
    }
}

/// The main secret (called master secret before RFC 9846).
#[derive(Debug)]
pub(crate) struct MainSecret {
    hash: HashAlgorithm,
    secret: Secret,
}

/// The secrets after the server's Finished.
#[derive(Debug)]
pub(crate) struct ApplicationSecrets {
    pub(crate) client: TrafficSecret,
    pub(crate) server: TrafficSecret,
    pub(crate) exporter: Exporter,
}

impl MainSecret {
    /// `transcript_hash` covers ClientHello...server Finished.
    pub(crate) fn application_secrets(&self, transcript_hash: &HashValue) -> ApplicationSecrets {
        let hash = self.hash;
        let expander = Expander::new(hash, &self.secret);
        ApplicationSecrets {
            client: TrafficSecret {
                hash,
                secret: expander.secret(CLIENT_APPLICATION_TRAFFIC, transcript_hash),
            },
            server: TrafficSecret {
                hash,
                secret: expander.secret(SERVER_APPLICATION_TRAFFIC, transcript_hash),
            },
            exporter: Exporter {
                hash,
                secret: expander.secret(EXPORTER, transcript_hash),
            },
        }
    }
}

/// The secret that protects one direction.
#[derive(Debug)]
pub(crate) struct TrafficSecret {
    hash: HashAlgorithm,
    secret: Secret,
}

impl TrafficSecret {
    /// The AEAD key of this length (at most 32 bytes) and the IV (section 7.3).
    pub(crate) fn key_and_iv(&self, key_len: usize) -> TrafficKeys {
        TrafficKeys::derive(&Expander::new(self.hash, &self.secret), key_len)
    }

    /// Both at once, for half a microsecond less than one after the other.
    pub(crate) fn key_and_iv_and_finished(&self, key_len: usize) -> (TrafficKeys, FinishedKey) {
        let expander = Expander::new(self.hash, &self.secret);
        let finished = FinishedKey {
            hash: self.hash,
            key: expander.short_secret(FINISHED),
        };
        (TrafficKeys::derive(&expander, key_len), finished)
    }

    /// The key of the Finished of this direction (section 4.4.4).
    pub(crate) fn finished_key(&self) -> FinishedKey {
        let key = Expander::new(self.hash, &self.secret).short_secret(FINISHED);
        FinishedKey { hash: self.hash, key }
    }

    /// The verify_data of this direction's Finished; `transcript_hash` covers all before it.
    #[cfg(test)]
    pub(crate) fn finished_mac(&self, transcript_hash: &HashValue) -> HashValue {
        self.finished_key().mac(transcript_hash)
    }

    /// The secret after a KeyUpdate (section 7.2).
    pub(crate) fn next(&self) -> Self {
        let secret = Expander::new(self.hash, &self.secret).short_secret(TRAFFIC_UPDATE);
        Self {
            hash: self.hash,
            secret,
        }
    }

    /// The bytes, for the key log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.secret.as_bytes()
    }
}

/// The key of a Finished or of a PSK binder.
#[derive(Debug)]
pub(crate) struct FinishedKey {
    hash: HashAlgorithm,
    key: Secret,
}

impl FinishedKey {
    /// verify_data.
    pub(crate) fn mac(&self, transcript_hash: &HashValue) -> HashValue {
        hmac(self.hash, self.key.as_bytes(), transcript_hash.as_bytes())
    }

    /// Whether the peer's verify_data is right, in constant time.
    pub(crate) fn verify(&self, transcript_hash: &HashValue, verify_data: &[u8]) -> bool {
        hmac_verify(
            self.hash,
            self.key.as_bytes(),
            transcript_hash.as_bytes(),
            verify_data,
        )
    }
}

/// Key and IV of one direction, wiped when dropped.
pub(crate) struct TrafficKeys {
    key: [u8; 32],
    key_len: u8,
    iv: [u8; 12],
}

impl TrafficKeys {
    fn derive(expander: &Expander, key_len: usize) -> Self {
        debug_assert!(key_len <= 32);
        let mut keys = Self {
            key: [0; 32],
            key_len: key_len.min(32) as u8,
            iv: [0; 12],
        };
        if let Some(key) = keys.key.get_mut(..key_len) {
            expander.short(KEY, key);
        }
        expander.short(IV, &mut keys.iv);
        keys
    }

    /// Key and IV from a key block of TLS 1.2; an IV that is shorter is a salt, to be followed by zeros.
    pub(crate) fn from_key_block(key: &[u8], iv: &[u8]) -> Self {
        debug_assert!(key.len() <= 32 && iv.len() <= 12);
        let mut keys = Self {
            key: [0; 32],
            key_len: key.len().min(32) as u8,
            iv: [0; 12],
        };
        keys.key.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        keys.iv.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
        keys
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.key.get(..usize::from(self.key_len)).unwrap_or(&self.key)
    }

    pub(crate) const fn iv(&self) -> &[u8; 12] {
        &self.iv
    }
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
    }
}

impl core::fmt::Debug for TrafficKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TrafficKeys(..)")
    }
}

/// The exporter (section 7.5).
#[derive(Debug)]
pub(crate) struct Exporter {
    hash: HashAlgorithm,
    secret: Secret,
}

impl Exporter {
    /// Fills `out` with bytes that both ends can compute and nobody else. An absent context is an empty one.
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`] for a label longer than 249 bytes or more output than 255 hashes.
    pub(crate) fn export(&self, out: &mut [u8], label: &[u8], context: &[u8]) -> Result<(), Error> {
        if label.len() > MAX_LABEL_LEN {
            return Err(Misuse::ExporterRange.into());
        }
        let mut derived = Secret::zeros(self.hash);
        let empty = self.hash.of_empty().as_bytes();
        Expander::new(self.hash, &self.secret).expand_label(label, empty, derived.as_mut_bytes())?;
        let context = hash(self.hash, context);
        Expander::new(self.hash, &derived).expand_label(b"exporter", context.as_bytes(), out)
    }

    /// The bytes, for the key log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.secret.as_bytes()
    }
}

impl PartialEq for TrafficSecret {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

#[cfg(test)]
mod tests;
