//! Handshake messages out of fragments of any size (section 5.1).

use crate::error::{Error, Misbehaviour};
use crate::registry::HandshakeType;

/// Bytes of type and length before each handshake message (section 4).
pub(crate) const MESSAGE_HEADER_LEN: usize = 4;

/// Longest body of a handshake message that we assemble, for those whose size the peer can choose. A ClientHello
/// with every extension and a post-quantum key share is below 4 KiB; the cap bounds what a stranger can make us
/// hold.
const MAX_HANDSHAKE_MESSAGE: usize = 64 * 1024;

/// Longest body of a certificate message: ten large certificates and their OCSP responses.
pub(crate) const MAX_CERTIFICATE_MESSAGE: u32 = 128 * 1024;

/// Longest body of a message of fixed or nearly fixed size: Finished (48), KeyUpdate (1), EndOfEarlyData,
/// HelloRequest and ServerHelloDone (0).
const MAX_SHORT_MESSAGE: usize = 64;

/// One handshake message that arrives in pieces. Messages that arrive whole need none of this.
pub(super) struct Joiner {
    bytes: Vec<u8>,
}

impl Joiner {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Whether no message has begun.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes so far, with the message's header.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds bytes up to the end of the message, and returns how many were taken and the type, once it is whole. See
    /// [`message_header`] for the limit.
    pub(super) fn push(
        &mut self,
        fragment: &[u8],
        max_certificate_message: u32,
    ) -> Result<(usize, Option<HandshakeType>), Error> {
        let mut rest = fragment;
        if self.bytes.len() < MESSAGE_HEADER_LEN {
            self.take(&mut rest, MESSAGE_HEADER_LEN);
        }
        let Some((message, length)) = message_header(&self.bytes, max_certificate_message)? else {
            return Ok((fragment.len(), None));
        };
        self.take(&mut rest, length);
        let whole = (self.bytes.len() == length).then_some(message);
        Ok((fragment.len() - rest.len(), whole))
    }

    /// Moves bytes from the front of `from` until there are `length`. Memory grows with what came, not with what
    /// the header claims.
    fn take(&mut self, from: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.bytes.len()).min(from.len());
        if let Some((head, tail)) = from.split_at_checked(missing) {
            self.bytes.extend_from_slice(head);
            *from = tail;
        }
    }

    /// Forgets the message and frees its memory.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }
}

/// Type and whole length, header included, of the message that begins here; `None` where not even the header is
/// there. A length over the limit of its type is refused before any of it is stored.
pub(super) fn message_header(
    bytes: &[u8],
    max_certificate_message: u32,
) -> Result<Option<(HandshakeType, usize)>, Error> {
    let Some(&[message, high, middle, low]) = bytes.first_chunk::<MESSAGE_HEADER_LEN>() else {
        return Ok(None);
    };
    let message = HandshakeType(message);
    let size = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let limit = match message {
        HandshakeType::CERTIFICATE => usize::try_from(max_certificate_message).unwrap_or(usize::MAX),
        HandshakeType::FINISHED
        | HandshakeType::KEY_UPDATE
        | HandshakeType::END_OF_EARLY_DATA
        | HandshakeType::HELLO_REQUEST
        | HandshakeType::SERVER_HELLO_DONE => MAX_SHORT_MESSAGE,
        _ => MAX_HANDSHAKE_MESSAGE,
    };
    if size > limit {
        return Err(Misbehaviour::MessageTooLarge { message, size }.into());
    }
    Ok(Some((message, MESSAGE_HEADER_LEN + size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn fragments_of_any_size_make_the_same_message() {
        let message = [20, 0, 0, 3, b'a', b'b', b'c'];
        for size in 1..=message.len() {
            let mut joiner = Joiner::new();
            let mut whole = None;
            for fragment in message.chunks(size) {
                assert_eq!(whole, None);
                let (taken, now) = joiner.push(fragment, MAX_CERTIFICATE_MESSAGE).unwrap();
                assert_eq!(taken, fragment.len());
                whole = now;
            }
            assert_eq!(
                (whole, joiner.bytes()),
                (Some(HandshakeType::FINISHED), &message[..])
            );
        }
    }

    #[test]
    fn bytes_after_the_message_are_left() {
        let mut joiner = Joiner::new();
        assert_eq!(joiner.push(&[24], MAX_CERTIFICATE_MESSAGE).unwrap(), (1, None));
        assert_eq!(
            joiner
                .push(&[0, 0, 1, 0, 24, 0], MAX_CERTIFICATE_MESSAGE)
                .unwrap(),
            (4, Some(HandshakeType::KEY_UPDATE))
        );
        joiner.clear();
        assert!(joiner.is_empty());
    }

    #[test]
    fn a_message_over_the_limit_of_its_type_is_refused_by_its_header() {
        for (message, limit) in [
            (HandshakeType::CLIENT_HELLO, MAX_HANDSHAKE_MESSAGE),
            (HandshakeType::CERTIFICATE, 70_000),
            (HandshakeType::FINISHED, MAX_SHORT_MESSAGE),
        ] {
            let header = |size: usize| {
                let [_, a, b, c] = (size as u32).to_be_bytes();
                [message.0, a, b, c]
            };
            assert!(Joiner::new().push(&header(limit), 70_000).is_ok());
            let error = Joiner::new().push(&header(limit + 1), 70_000).unwrap_err();
            let ErrorKind::Misbehaved(Misbehaviour::MessageTooLarge { size, .. }) = error.kind() else {
                panic!("{error}")
            };
            assert_eq!(*size, limit + 1);
        }
    }
}
