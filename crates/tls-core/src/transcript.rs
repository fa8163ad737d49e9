//! The transcript hash (section 4.4.1).

use core::mem;

use crate::crypto::hash::{HashAlgorithm, HashContext, HashValue, hash};
use crate::registry::HandshakeType;

/// All handshake messages of a connection so far: kept as bytes until the cipher suite decides the hash, then hashed.
#[derive(Debug)]
pub(crate) struct Transcript {
    state: State,
}

#[derive(Debug)]
enum State {
    Buffering(Vec<u8>),
    Hashing(HashContext),
}

impl Transcript {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Buffering(Vec::new()),
        }
    }

    /// Adds a handshake message with its four-byte header, as it was before record protection.
    pub(crate) fn add(&mut self, message: &[u8]) {
        match &mut self.state {
            State::Buffering(bytes) => bytes.extend_from_slice(message),
            State::Hashing(context) => context.update(message),
        }
    }

    /// The hash is known: what was kept is hashed and let go. Has no effect once it was done, since a hash cannot
    /// change: after a HelloRetryRequest the ServerHello must choose the same suite (section 4.1.4).
    pub(crate) fn start(&mut self, algorithm: HashAlgorithm) {
        if let State::Buffering(bytes) = &self.state {
            let mut context = HashContext::new(algorithm);
            context.update(bytes);
            self.state = State::Hashing(context);
        }
    }

    /// The transcript hash of all messages so far.
    ///
    /// To be called after [`Self::start`]; before it, there is no transcript hash yet, and the answer is SHA-256's.
    pub(crate) fn hash(&self) -> HashValue {
        match &self.state {
            State::Hashing(context) => context.current(),
            State::Buffering(bytes) => {
                debug_assert!(false, "the hash is not known yet");
                hash(HashAlgorithm::Sha256, bytes)
            }
        }
    }

    /// The hash of all messages so far and of `suffix`, which is not added: for a PSK binder, whose message ends before
    /// the binders (section 4.2.11.2), and for the session hash of TLS 1.2 (RFC 7627), which may be due before the
    /// messages can be let go.
    ///
    /// `algorithm` is that of the PSK. Where the hash was already started (second ClientHello), only PSKs of the
    /// same hash may be offered, and the started one is used.
    pub(crate) fn hash_with_suffix(&self, algorithm: HashAlgorithm, suffix: &[u8]) -> HashValue {
        let mut context = match &self.state {
            State::Buffering(bytes) => {
                let mut context = HashContext::new(algorithm);
                context.update(bytes);
                context
            }
            State::Hashing(context) => {
                debug_assert_eq!(context.algorithm(), algorithm);
                context.clone()
            }
        };
        context.update(suffix);
        context.finish()
    }

    /// Replaces the first ClientHello by the synthetic message_hash message, so that a server need not keep it
    /// (section 4.4.1). To be called after [`Self::start`], before the HelloRetryRequest is added.
    pub(crate) fn restart_for_retry(&mut self) {
        let algorithm = match &self.state {
            State::Hashing(context) => context.algorithm(),
            State::Buffering(_) => {
                debug_assert!(false, "the hash is not known yet");
                HashAlgorithm::Sha256
            }
        };
        let first = match mem::replace(&mut self.state, State::Hashing(HashContext::new(algorithm))) {
            State::Hashing(context) => context.finish(),
            State::Buffering(bytes) => hash(algorithm, &bytes),
        };
        // A hash is at most 48 bytes.
        self.add(&[HandshakeType::MESSAGE_HASH.0, 0, 0, algorithm.len() as u8]);
        self.add(first.as_bytes());
    }

    /// The messages themselves, or `None` once the hash was started.
    pub(crate) fn buffered(&self) -> Option<&[u8]> {
        match &self.state {
            State::Buffering(bytes) => Some(bytes),
            State::Hashing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_before_and_after_the_start_are_hashed_alike() {
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let mut transcript = Transcript::new();
            transcript.add(b"client hello");
            assert_eq!(transcript.buffered(), Some(&b"client hello"[..]));
            transcript.start(algorithm);
            assert_eq!(transcript.buffered(), None);
            transcript.add(b"server hello");
            assert_eq!(transcript.hash(), hash(algorithm, b"client helloserver hello"));
        }
    }

    #[test]
    fn a_started_hash_does_not_change() {
        let mut transcript = Transcript::new();
        transcript.start(HashAlgorithm::Sha384);
        transcript.start(HashAlgorithm::Sha256);
        assert_eq!(transcript.hash(), *HashAlgorithm::Sha384.of_empty());
    }

    #[test]
    fn a_suffix_counts_but_is_not_added() {
        let mut transcript = Transcript::new();
        transcript.add(b"ab");
        let expected = hash(HashAlgorithm::Sha384, b"abc");
        assert_eq!(transcript.hash_with_suffix(HashAlgorithm::Sha384, b"c"), expected);
        transcript.start(HashAlgorithm::Sha384);
        assert_eq!(transcript.hash_with_suffix(HashAlgorithm::Sha384, b"c"), expected);
        assert_eq!(transcript.hash(), hash(HashAlgorithm::Sha384, b"ab"));
    }

    #[test]
    fn after_a_retry_the_first_hello_is_its_hash() {
        let mut transcript = Transcript::new();
        transcript.add(b"first hello");
        transcript.start(HashAlgorithm::Sha256);
        transcript.restart_for_retry();
        transcript.add(b"retry");
        let mut synthetic = vec![254, 0, 0, 32];
        synthetic.extend_from_slice(hash(HashAlgorithm::Sha256, b"first hello").as_bytes());
        synthetic.extend_from_slice(b"retry");
        assert_eq!(transcript.hash(), hash(HashAlgorithm::Sha256, &synthetic));
    }
}
