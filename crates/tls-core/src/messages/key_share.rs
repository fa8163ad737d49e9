//! Key shares (section 4.2.8).

use crate::registry::NamedGroup;
use crate::wire::{BadBytes, Prefixed16, Problem, Put, Reader};

use super::extensions::has_duplicate;

/// A public key for key exchange, in the encoding of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyShareEntry {
    /// The group.
    pub(crate) group: NamedGroup,
    /// The public key, or in a hybrid's answer the ciphertext.
    pub(crate) key_exchange: Vec<u8>,
}

impl KeyShareEntry {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let group = NamedGroup(reader.u16("group")?);
        let key_exchange = reader
            .vec16("key_exchange")?
            .not_empty("key_exchange")?
            .rest()
            .to_vec();
        Ok(Self { group, key_exchange })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u16(self.group);
        Prefixed16::new(out).put(&self.key_exchange);
    }
}

/// Reads a ClientHello's shares. The list may be empty: the client then asks for a HelloRetryRequest.
pub(super) fn read_client_shares(body: &mut Reader<'_>) -> Result<Vec<KeyShareEntry>, BadBytes> {
    let list = body.vec16("client_shares")?;
    let start = list.clone();
    let shares = list.list(KeyShareEntry::read)?;
    if has_duplicate(shares.iter().map(|share| share.group.0)) {
        return Err(start.error("client_shares", Problem::Duplicate));
    }
    Ok(shares)
}

/// Appends the content of a ClientHello's extension.
pub(super) fn put_client_shares(out: &mut Vec<u8>, shares: &[KeyShareEntry]) {
    let mut list = Prefixed16::new(out);
    for share in shares {
        share.put(&mut list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(group: u16) -> KeyShareEntry {
        KeyShareEntry {
            group: NamedGroup(group),
            key_exchange: vec![1, 2, 3],
        }
    }

    fn read(shares: &[KeyShareEntry]) -> Result<Vec<KeyShareEntry>, Problem> {
        let mut bytes = Vec::new();
        put_client_shares(&mut bytes, shares);
        read_client_shares(&mut Reader::new("test", &bytes)).map_err(|bad| bad.problem)
    }

    #[test]
    fn shares_are_read_as_written_and_the_list_may_be_empty() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(
            read(&[share(29), share(0x0a0a)]),
            Ok(vec![share(29), share(0x0a0a)])
        );
    }

    #[test]
    fn two_shares_of_one_group_are_refused() {
        assert_eq!(read(&[share(29), share(23), share(29)]), Err(Problem::Duplicate));
    }

    #[test]
    fn an_empty_key_is_refused() {
        let empty = KeyShareEntry {
            group: NamedGroup::X25519,
            key_exchange: Vec::new(),
        };
        assert_eq!(read(&[empty]), Err(Problem::LengthOutOfBounds));
    }
}
