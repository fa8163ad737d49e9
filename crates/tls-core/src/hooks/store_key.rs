//! Sealing what is kept outside the process.

use core::fmt;

use zeroize::Zeroizing;

use crate::crypto::hash::HashAlgorithm;
use crate::crypto::ticket_seal::{self, KEY_LEN, NONCE_LEN, TAG_LEN};
use crate::crypto::{hkdf, random};
use crate::error::Error;

/// Bytes of the id of a key.
const ID_LEN: usize = 16;

/// A key that seals what is kept where others can read and write: in Redis, in a database, on a shared disk.
///
/// What it seals is encrypted and authenticated with AES-256-GCM-SIV (RFC 8452) under a random nonce, and bound to a
/// [`StorePurpose`] and to the name it is stored under. Whoever has the store can withhold entries and put old ones
/// back; they cannot read them, change them, make new ones, or move one to another name or purpose.
///
/// The form: the key's id (16 bytes), the nonce (12), then ciphertext and tag (16).
///
/// ```
/// use tls_core::{StoreKey, StorePurpose};
///
/// let key = StoreKey::generate()?;
/// let sealed = key.seal(StorePurpose::ServerSession, b"name", b"session")?;
/// let opened = key.open(StorePurpose::ServerSession, b"name", &sealed);
/// assert_eq!(opened.unwrap().as_slice(), b"session");
/// assert!(key.open(StorePurpose::ServerSession, b"another name", &sealed).is_none());
/// # Ok::<(), tls_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StoreKey {
    id: [u8; ID_LEN],
    secret: Zeroizing<[u8; KEY_LEN]>,
}

/// What something is sealed for with a [`StoreKey`]: what was sealed for one purpose does not open for another.
///
/// Example: that of [`StoreKey`](crate::StoreKey).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorePurpose {
    /// A client's session, as [`crate::ClientSession::to_bytes`] gives it.
    ClientSession,
    /// A server's session, as a [`crate::ServerSessionStore`] is given it.
    ServerSession,
    /// A key that seals tickets.
    TicketKey,
}

impl StorePurpose {
    /// All of the same length, and none that of a ticket, so that no two additional data are alike.
    const fn label(self) -> &'static [u8; 16] {
        match self {
            Self::ClientSession => b"client session 1",
            Self::ServerSession => b"server session 1",
            Self::TicketKey => b"ticket key set 1",
        }
    }
}

impl StoreKey {
    /// Bytes that sealing adds.
    pub const OVERHEAD: usize = ID_LEN + NONCE_LEN + TAG_LEN;

    /// The key with this secret: 32 random bytes, the same in every process that shares the store. Its id is derived
    /// from them.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        let hash = hkdf::hmac(HashAlgorithm::Sha256, &*secret, b"tls store key id");
        let mut id = [0; ID_LEN];
        id.iter_mut()
            .zip(hash.as_bytes())
            .for_each(|(to, from)| *to = *from);
        Self { id, secret }
    }

    /// A new random key, for a store that no other process shares and that need not outlive this one.
    ///
    /// # Errors
    /// The system has no random bytes to give.
    pub fn generate() -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        random::fill(&mut *secret)?;
        Ok(Self::new(*secret))
    }

    /// The id that stands in front of all that this key sealed. It does not give the secret away.
    #[must_use]
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Seals `plaintext` to be stored under `name`.
    ///
    /// # Errors
    /// The system has no random bytes to give, or the cryptographic library refuses.
    pub fn seal(&self, purpose: StorePurpose, name: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        random::fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(Self::OVERHEAD));
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let data = self.additional_data(purpose, name);
        let tag = sealed
            .get_mut(ID_LEN + NONCE_LEN..)
            .and_then(|text| ticket_seal::seal_in_place(&self.secret, nonce, &data, text))
            .ok_or_else(|| Error::hook("store key", "sealing failed".into()))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] sealed with this key, for this purpose and name. `None` for everything else.
    #[must_use]
    pub fn open(&self, purpose: StorePurpose, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = sealed.split_first_chunk::<ID_LEN>()?;
        if *id != self.id {
            return None;
        }
        let (nonce, text) = rest.split_first_chunk()?;
        ticket_seal::open(&self.secret, *nonce, &self.additional_data(purpose, name), text)
    }

    fn additional_data(&self, purpose: StorePurpose, name: &[u8]) -> Vec<u8> {
        [&self.id[..], purpose.label(), name].concat()
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: StorePurpose = StorePurpose::ServerSession;

    fn opened(key: &StoreKey, purpose: StorePurpose, name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        key.open(purpose, name, sealed).map(|text| text.to_vec())
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let key = StoreKey::new([1; 32]);
        for plaintext in [&b""[..], b"session", &[9; 100_000]] {
            let sealed = key.seal(PURPOSE, b"name", plaintext).unwrap();
            assert_eq!(sealed.len(), plaintext.len() + StoreKey::OVERHEAD);
            assert_eq!(sealed.capacity(), sealed.len());
            assert_eq!(
                opened(&key, PURPOSE, b"name", &sealed).as_deref(),
                Some(plaintext)
            );
            for (purpose, name) in [
                (PURPOSE, &b"nama"[..]),
                (PURPOSE, b""),
                (StorePurpose::ClientSession, b"name"),
                (StorePurpose::TicketKey, b"name"),
            ] {
                assert_eq!(opened(&key, purpose, name, &sealed), None);
            }
        }
    }

    #[test]
    fn no_flipped_bit_and_no_part_opens() {
        let key = StoreKey::new([1; 32]);
        let mut sealed = key.seal(PURPOSE, b"name", b"session").unwrap();
        for bit in 0..sealed.len() * 8 {
            sealed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&key, PURPOSE, b"name", &sealed), None, "bit {bit}");
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..sealed.len() {
            assert_eq!(
                opened(&key, PURPOSE, b"name", &sealed[..len]),
                None,
                "{len} bytes"
            );
        }
    }

    #[test]
    fn the_id_is_derived_from_the_secret_and_a_foreign_key_does_not_open() {
        let (one, other) = (StoreKey::new([1; 32]), StoreKey::new([2; 32]));
        assert_eq!(one.id(), StoreKey::new([1; 32]).id());
        assert_ne!(one.id(), other.id());
        assert_ne!(one.id(), &[1; 16]);
        let sealed = one.seal(PURPOSE, b"name", b"session").unwrap();
        assert!(StoreKey::new([1; 32]).open(PURPOSE, b"name", &sealed).is_some());
        assert!(other.open(PURPOSE, b"name", &sealed).is_none());
        // Nor if it had the same id.
        let forged = StoreKey {
            id: *one.id(),
            ..other
        };
        assert!(forged.open(PURPOSE, b"name", &sealed).is_none());
    }

    #[test]
    fn nothing_is_sealed_twice_alike_and_the_secret_is_not_shown() {
        let key = StoreKey::generate().unwrap();
        assert_ne!(key.id(), StoreKey::generate().unwrap().id());
        assert_ne!(
            key.seal(PURPOSE, b"", b"session").unwrap(),
            key.seal(PURPOSE, b"", b"session").unwrap()
        );
        let key = StoreKey::new([231; 32]);
        assert!(!format!("{key:?}").contains("231, 231"));
    }
}
