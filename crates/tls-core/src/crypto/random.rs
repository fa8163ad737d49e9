//! Random bytes. One draw costs the same (0.65 µs) for any size up to 256 bytes, so a handshake draws once.

use aws_lc_rs::rand;
use zeroize::Zeroize;

use super::tape;
use crate::error::{Error, ErrorKind};

/// Bytes drawn at a time for one handshake: a random (32), a session id (32) and small things such as GREASE and
/// ticket nonces.
const HANDSHAKE_DRAW: usize = 96;

/// Fills `out` with random bytes.
///
/// # Errors
/// [`ErrorKind::Crypto`] if the system has no randomness to give.
pub(crate) fn fill(out: &mut [u8]) -> Result<(), Error> {
    tape::fill(out, draw)
}

fn draw(out: &mut [u8]) -> Result<(), Error> {
    rand::fill(out).map_err(|_| Error::new(ErrorKind::Crypto("no random bytes")))
}

/// Draws one byte and throws it away.
///
/// The first random byte in a process costs 65-190 ms, because AWS-LC gathers entropy then. Called when a
/// configuration is built, so that no handshake pays for it.
///
/// # Errors
/// As [`fill`].
pub(crate) fn warm_up() -> Result<(), Error> {
    draw(&mut [0])
}

/// The random bytes of one handshake: drawn at once, handed out piece by piece, wiped when dropped.
pub(crate) struct HandshakeRandom {
    bytes: [u8; HANDSHAKE_DRAW],
    used: usize,
}

impl HandshakeRandom {
    /// # Errors
    /// As [`fill`].
    pub(crate) fn new() -> Result<Self, Error> {
        let mut bytes = [0; HANDSHAKE_DRAW];
        fill(&mut bytes)?;
        Ok(Self { bytes, used: 0 })
    }

    /// The next `N` bytes, never handed out before. Draws again when too few are left.
    ///
    /// # Errors
    /// As [`fill`].
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const { assert!(N <= HANDSHAKE_DRAW) };
        loop {
            let left = self
                .bytes
                .get_mut(self.used..)
                .and_then(|left| left.split_first_chunk_mut::<N>());
            if let Some((piece, _)) = left {
                let taken = *piece;
                piece.zeroize();
                self.used += N;
                return Ok(taken);
            }
            fill(&mut self.bytes)?;
            self.used = 0;
        }
    }
}

impl Drop for HandshakeRandom {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_piece_is_handed_out_twice() {
        let mut random = HandshakeRandom::new().unwrap();
        let mut seen = Vec::new();
        for _ in 0..20 {
            seen.push(random.take::<32>().unwrap().to_vec());
            seen.push(random.take::<9>().unwrap().to_vec());
            seen.push(random.take::<96>().unwrap().to_vec());
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
        assert!(seen.iter().all(|piece| piece.iter().any(|byte| *byte != 0)));
    }

    #[test]
    fn pieces_of_one_draw_are_its_bytes_in_order() {
        let mut random = HandshakeRandom::new().unwrap();
        let all = random.bytes;
        assert_eq!(random.take::<32>().unwrap(), all[..32]);
        assert_eq!(random.take::<64>().unwrap(), all[32..]);
        assert!(
            random.bytes.iter().all(|byte| *byte == 0),
            "what was handed out is wiped"
        );
    }

    #[test]
    fn warming_up_succeeds() {
        warm_up().unwrap();
    }
}
