//! What a server remembers, in a ticket or in a store.

use zeroize::Zeroizing;

use super::{CHECKSUM_LEN, SessionState, put_checksum, without_checksum};
use crate::wire::{BadBytes, Reader};

const NAME: &str = "ServerSession";
const MARK: [u8; 4] = *b"TLSs";

/// What a server needs to resume a session. Its bytes go into a sealed ticket or to a
/// [`crate::ServerSessionStore`].
#[derive(Clone, Debug)]
pub(crate) struct ServerSession {
    pub(crate) state: SessionState,
}

impl ServerSession {
    /// By how many milliseconds the client's view of the age of its ticket differs from ours (section 8.3). Large
    /// for a ClientHello that was recorded and sent again later. `now` is in milliseconds since 1970.
    pub(crate) fn age_difference(&self, obfuscated_ticket_age: u32, now: u64) -> u64 {
        let age = obfuscated_ticket_age.wrapping_sub(self.state.age_add);
        self.state.age(now).abs_diff(age.into())
    }

    /// The session as bytes, the secret included, for a ticket, whose seal shows whether they were changed.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.state.begin(MARK, 0)
    }

    /// The same for a store, with a checksum.
    pub(crate) fn to_stored_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = self.state.begin(MARK, CHECKSUM_LEN);
        put_checksum(&mut out);
        out
    }

    /// # Errors
    /// As [`Self::from_bytes`]; or the bytes are not all as they were written.
    pub(crate) fn from_stored_bytes(bytes: &[u8]) -> Result<Self, BadBytes> {
        Self::from_bytes(without_checksum(NAME, bytes, MARK)?)
    }

    /// # Errors
    /// The bytes are not those of a server's session, or have a form that this version does not know.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut reader = Reader::new(NAME, bytes);
        let state = SessionState::decode(&mut reader, MARK)?;
        reader.end(NAME)?;
        Ok(Self { state })
    }
}
