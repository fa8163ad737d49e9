//! Sealing session tickets (RFC 5077 section 4 recommends a similar form).
//!
//! On the wire: key id (16 bytes), nonce (12, random), ciphertext and tag (16) of AES-256-GCM-SIV. The key id and
//! the purpose are authenticated, so that what was sealed for one purpose does not open for another.

use zeroize::Zeroizing;

use crate::crypto::random::HandshakeRandom;
use crate::crypto::ticket_seal::{self, KEY_LEN, NONCE_LEN, TAG_LEN};

/// Bytes of the id of a key.
pub(crate) const KEY_ID_LEN: usize = 16;

/// Bytes that sealing adds.
pub(crate) const OVERHEAD: usize = KEY_ID_LEN + NONCE_LEN + TAG_LEN;

/// The longest ticket we make. There can be ones of 65,535 bytes (section 4.6.1), but the client sends it with each
/// ClientHello: beside one that holds a client's long chain, a full handshake is cheaper, and servers have limits.
pub(crate) const MAX_SEALED: usize = 16 * 1024;

/// What something is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be handed to a client.
    Ticket,
}

impl Purpose {
    const fn label(self) -> &'static [u8; LABEL_LEN] {
        match self {
            Self::Ticket => b"session ticket 1",
        }
    }
}

/// Bytes of each label.
const LABEL_LEN: usize = 16;

/// Seals, with a nonce from `random`. `None` if it would be longer than [`MAX_SEALED`], or there are no random bytes:
/// then the client gets no ticket.
pub(crate) fn seal(
    purpose: Purpose,
    key_id: &[u8; KEY_ID_LEN],
    secret: &[u8; KEY_LEN],
    plaintext: &[u8],
    random: &mut HandshakeRandom,
) -> Option<Vec<u8>> {
    let len = plaintext.len().checked_add(OVERHEAD)?;
    if len > MAX_SEALED {
        return None;
    }
    let nonce = random.take::<NONCE_LEN>().ok()?;
    let mut sealed = Vec::with_capacity(len);
    sealed.extend_from_slice(key_id);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let text = sealed.get_mut(KEY_ID_LEN + NONCE_LEN..)?;
    let tag = ticket_seal::seal_in_place(secret, nonce, &additional_data(purpose, key_id), text)?;
    sealed.extend_from_slice(&tag);
    Some(sealed)
}

/// The id of the key that something was sealed with, to look the key up. `None` if it is too short for anything
/// sealed.
pub(crate) fn key_id(sealed: &[u8]) -> Option<&[u8; KEY_ID_LEN]> {
    if sealed.len() < OVERHEAD || sealed.len() > MAX_SEALED {
        return None;
    }
    sealed.first_chunk()
}

/// Opens what [`seal`] sealed for this purpose under this key. `None` for everything else.
pub(crate) fn open(
    purpose: Purpose,
    id: &[u8; KEY_ID_LEN],
    secret: &[u8; KEY_LEN],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    if key_id(sealed)? != id {
        return None;
    }
    let (nonce, text) = sealed.get(KEY_ID_LEN..)?.split_first_chunk()?;
    ticket_seal::open(secret, *nonce, &additional_data(purpose, id), text)
}

fn additional_data(purpose: Purpose, key_id: &[u8; KEY_ID_LEN]) -> [u8; KEY_ID_LEN + LABEL_LEN] {
    let mut data = [0; KEY_ID_LEN + LABEL_LEN];
    let bytes = key_id.iter().chain(purpose.label());
    data.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = [1; 16];
    const SECRET: [u8; 32] = [2; 32];

    fn seal_any(plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut random = HandshakeRandom::new().unwrap();
        seal(Purpose::Ticket, &ID, &SECRET, plaintext, &mut random)
    }

    fn ticket(plaintext: &[u8]) -> Vec<u8> {
        seal_any(plaintext).unwrap()
    }

    fn opened(sealed: &[u8]) -> Option<Vec<u8>> {
        open(Purpose::Ticket, &ID, &SECRET, sealed).map(|text| text.to_vec())
    }

    #[test]
    fn what_was_sealed_opens_and_names_its_key() {
        for plaintext in [&b""[..], b"session", &[9; 3000]] {
            let sealed = ticket(plaintext);
            assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
            assert_eq!(sealed.capacity(), sealed.len());
            assert_eq!(key_id(&sealed), Some(&ID));
            assert_eq!(opened(&sealed).as_deref(), Some(plaintext));
        }
    }

    #[test]
    fn no_two_tickets_are_alike() {
        let mut random = HandshakeRandom::new().unwrap();
        let mut of_one_draw = || seal(Purpose::Ticket, &ID, &SECRET, b"session", &mut random);
        assert_ne!(of_one_draw(), of_one_draw());
        assert_ne!(ticket(b"session"), ticket(b"session"));
    }

    #[test]
    fn no_flipped_bit_and_no_part_of_a_ticket_opens() {
        let mut sealed = ticket(b"session");
        for bit in 0..sealed.len() * 8 {
            sealed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&sealed), None, "bit {bit}");
            // Nor under the key that it now names, if that had the same secret.
            let named = *key_id(&sealed).unwrap();
            assert!(
                open(Purpose::Ticket, &named, &SECRET, &sealed).is_none(),
                "bit {bit}"
            );
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..sealed.len() {
            assert_eq!(opened(&sealed[..len]), None, "{len} bytes");
        }
        sealed.push(0);
        assert_eq!(opened(&sealed), None);
    }

    #[test]
    fn a_foreign_key_does_not_open() {
        let sealed = ticket(b"session");
        assert!(open(Purpose::Ticket, &[3; 16], &SECRET, &sealed).is_none());
        assert!(open(Purpose::Ticket, &ID, &[3; 32], &sealed).is_none());
    }

    #[test]
    fn a_ticket_has_at_most_16_kib() {
        let longest = vec![0; MAX_SEALED - OVERHEAD];
        assert_eq!(opened(&ticket(&longest)), Some(longest.clone()));
        let longer = vec![0; longest.len() + 1];
        assert!(seal_any(&longer).is_none());
    }
}
