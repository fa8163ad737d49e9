//! Offered pre-shared keys and their binders (section 4.2.11).

use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

/// We keep only this many of the identities that a client offers, and their binders: it has tried its best ones first,
/// and each that we look at may cost a decryption.
pub(crate) const MAX_IDENTITIES: usize = 8;

/// A key the client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PskIdentity {
    /// Its name: the ticket, as the server gave it.
    pub(crate) identity: Vec<u8>,
    /// The age of the ticket in milliseconds plus its ticket_age_add, modulo 2^32; 0 for an external key.
    pub(crate) obfuscated_ticket_age: u32,
}

/// The keys that a ClientHello offers, most preferred first, each with its binder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfferedPsks {
    /// The keys; of a peer's at most the first [`MAX_IDENTITIES`].
    pub(crate) identities: Vec<PskIdentity>,
    /// As many binders: MACs over the ClientHello up to them.
    pub(crate) binders: Vec<Vec<u8>>,
    /// Length of all binders on the wire with their prefixes, those that were not kept included.
    binders_len: usize,
}

impl OfferedPsks {
    /// One key whose binder is still to be computed; until then it is `binder_len` zeros (the length of the hash).
    pub(crate) fn one(identity: PskIdentity, binder_len: usize) -> Self {
        let binders_len = 3usize.saturating_add(binder_len);
        Self {
            identities: vec![identity],
            binders: vec![vec![0; binder_len]],
            binders_len,
        }
    }

    /// Keys with their binders, as many as there are.
    #[cfg(test)]
    pub(super) fn new(psks: impl IntoIterator<Item = (PskIdentity, Vec<u8>)>) -> Self {
        let (identities, binders) = psks.into_iter().unzip();
        let mut all = Self {
            identities,
            binders,
            binders_len: 0,
        };
        all.forget_what_was_not_kept();
        all
    }

    /// As if no more had been offered than were kept.
    #[cfg(test)]
    pub(super) fn forget_what_was_not_kept(&mut self) {
        self.binders_len = 2 + self.binders.iter().map(|binder| 1 + binder.len()).sum::<usize>();
    }

    /// Length of the binders on the wire, list prefix included. They end the ClientHello, so this is what is cut from
    /// its end (with or without header) for the transcript hash that the binders are made over (section 4.2.11.2).
    pub(crate) fn binders_len(&self) -> usize {
        self.binders_len
    }

    /// Appends the list of binders: all that follows in a ClientHello that was cut by [`Self::binders_len`].
    pub(crate) fn put_binders(&self, out: &mut Vec<u8>) {
        let mut list = Prefixed16::new(out);
        for binder in &self.binders {
            Prefixed8::new(&mut list).put(binder);
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        {
            let mut list = Prefixed16::new(out);
            for psk in &self.identities {
                Prefixed16::new(&mut list).put(&psk.identity);
                list.put_u32(psk.obfuscated_ticket_age);
            }
        }
        self.put_binders(out);
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let mut list = body.vec16("identities")?.not_empty("identities")?;
        let mut identities = Vec::new();
        let mut offered = 0usize;
        while !list.is_empty() {
            let mut identity = list.vec16("identity")?.not_empty("identity")?;
            let obfuscated_ticket_age = list.u32("obfuscated_ticket_age")?;
            if offered < MAX_IDENTITIES {
                identities.push(PskIdentity {
                    identity: identity.rest().to_vec(),
                    obfuscated_ticket_age,
                });
            }
            offered = offered.saturating_add(1);
        }

        let binders_len = body.remaining();
        let mut list = body.vec16("binders")?.not_empty("binders")?;
        let start = list.clone();
        let mut binders = Vec::new();
        let mut bound = 0usize;
        while !list.is_empty() {
            let mut binder = list.vec8("PskBinderEntry")?.not_empty("PskBinderEntry")?;
            // Not the least length of section 4.2.11 (32): one of a wrong length does not verify, and matters only where
            // its key is taken.
            if bound < MAX_IDENTITIES {
                binders.push(binder.rest().to_vec());
            }
            bound = bound.saturating_add(1);
        }
        if offered != bound {
            return Err(start.error("binders", Problem::IllegalValue));
        }
        Ok(Self {
            identities,
            binders,
            binders_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psks(identities: usize, binders: usize, binder_len: usize) -> Vec<u8> {
        let identity = PskIdentity {
            identity: b"ticket".to_vec(),
            obfuscated_ticket_age: 7,
        };
        let mut psks = OfferedPsks::one(identity.clone(), binder_len);
        psks.identities = vec![identity; identities];
        psks.binders = vec![vec![9; binder_len]; binders];
        let mut out = Vec::new();
        psks.put(&mut out);
        out
    }

    fn read(bytes: &[u8]) -> Result<OfferedPsks, Problem> {
        let mut reader = Reader::new("test", bytes);
        let psks = OfferedPsks::read(&mut reader).map_err(|bad| bad.problem)?;
        assert!(reader.is_empty());
        Ok(psks)
    }

    #[test]
    fn the_length_of_the_binders_is_the_same_for_writer_and_reader() {
        let identity = PskIdentity {
            identity: b"ticket".to_vec(),
            obfuscated_ticket_age: 7,
        };
        let ours = OfferedPsks::one(identity, 48);
        let mut bytes = Vec::new();
        ours.put(&mut bytes);
        assert_eq!(read(&bytes), Ok(ours.clone()));
        let mut binders = Vec::new();
        ours.put_binders(&mut binders);
        assert_eq!(binders.len(), ours.binders_len());
        assert!(bytes.ends_with(&binders));
    }

    #[test]
    fn of_many_identities_the_first_are_kept_and_all_binders_counted() {
        let read = read(&psks(100, 100, 32)).unwrap();
        assert_eq!(
            (read.identities.len(), read.binders.len()),
            (MAX_IDENTITIES, MAX_IDENTITIES)
        );
        assert_eq!(read.binders_len(), 2 + 100 * 33);
    }

    #[test]
    fn there_must_be_as_many_binders_as_identities() {
        assert_eq!(read(&psks(2, 1, 32)), Err(Problem::IllegalValue));
        assert_eq!(read(&psks(9, 10, 32)), Err(Problem::IllegalValue));
    }

    #[test]
    fn empty_lists_and_empty_binders_are_refused_and_short_ones_are_left_to_verification() {
        assert_eq!(read(&psks(0, 1, 32)), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&psks(1, 0, 32)), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&psks(1, 1, 0)), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&psks(1, 1, 31)).unwrap().binders[0].len(), 31);
    }
}
