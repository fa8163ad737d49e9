//! Changes to bytes that are under way, as a fuzzer writes them: a place, what is done there, and with what.

use super::input::Input;

/// More of them make an input slow and say no more.
const MAX_EDITS: usize = 12;

/// One change.
#[derive(Clone, Debug)]
pub(super) struct Edit<'a> {
    /// To which of several things, counted by whoever applies it.
    pub(super) which: u8,
    /// What is done; [`Self::apply`] looks at the lower bits.
    pub(super) what: u8,
    /// Where, from the beginning or, with the high bit, from the end.
    at: usize,
    /// With what.
    pub(super) piece: &'a [u8],
}

/// All that are left in an input: five bytes and the piece, one after the other.
pub(super) fn read<'a>(input: &mut Input<'a>) -> Vec<Edit<'a>> {
    let mut edits = Vec::new();
    while !input.is_empty() && edits.len() < MAX_EDITS {
        let (which, what, at) = (input.u8(), input.u8(), input.u16());
        let len = input.u8().into();
        let piece = input.take(len);
        edits.push(Edit {
            which,
            what,
            at,
            piece,
        });
    }
    edits
}

/// Writes what [`read`] reads, for seeds.
pub(super) fn put(out: &mut Vec<u8>, which: u8, what: u8, at: u16, piece: &[u8]) {
    out.extend([which, what]);
    out.extend(at.to_be_bytes());
    out.push(u8::try_from(piece.len()).expect("a short piece"));
    out.extend(piece);
}

/// [`Edit::what`] for seeds.
pub(super) const XOR: u8 = 0;
pub(super) const OVERWRITE: u8 = 1;
pub(super) const INSERT: u8 = 2;
pub(super) const DELETE: u8 = 3;
pub(super) const DOUBLE: u8 = 4;
pub(super) const CUT: u8 = 5;

impl Edit<'_> {
    /// As [`read`] reads it.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(
            &mut out,
            self.which,
            self.what,
            u16::try_from(self.at).unwrap_or(u16::MAX),
            self.piece,
        );
        out
    }

    /// Where this is in so many bytes.
    fn place(&self, len: usize) -> usize {
        const FROM_THE_END: usize = 0x8000;
        match self.at.checked_sub(FROM_THE_END) {
            None => self.at.min(len),
            Some(from_the_end) => len - from_the_end.min(len),
        }
    }

    /// Changes these bytes.
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let at = self.place(bytes.len());
        let end = (at + self.piece.len().max(1)).min(bytes.len());
        match self.what & 7 {
            XOR => bytes[at..end]
                .iter_mut()
                .zip(self.piece)
                .for_each(|(to, with)| *to ^= with),
            OVERWRITE => bytes[at..end]
                .iter_mut()
                .zip(self.piece)
                .for_each(|(to, with)| *to = *with),
            INSERT => drop(bytes.splice(at..at, self.piece.iter().copied())),
            DELETE => drop(bytes.drain(at..end)),
            DOUBLE => bytes.extend_from_within(at..end),
            CUT => bytes.truncate(at),
            // A length, perhaps.
            6 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = byte.wrapping_add(self.piece.first().copied().unwrap_or(1));
                }
            }
            _ => bytes[at..].rotate_left(end - at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(what: u8, at: u16, piece: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        put(&mut written, 1, what, at, piece);
        let edits = read(&mut Input::new(&written));
        let [edit] = &edits[..] else {
            panic!("one was written: {edits:?}")
        };
        assert_eq!((edit.which, edit.piece), (1, piece));
        let mut bytes = b"abcdef".to_vec();
        edit.apply(&mut bytes);
        bytes
    }

    #[test]
    fn each_change_is_made_where_it_says() {
        assert_eq!(edited(XOR, 1, &[1, 1]), b"acbdef");
        assert_eq!(edited(OVERWRITE, 5, b"xy"), b"abcdex");
        assert_eq!(edited(INSERT, 0x8000, b"xy"), b"abcdefxy");
        assert_eq!(edited(DELETE, 0x8002, b"xx"), b"abcd");
        assert_eq!(edited(DOUBLE, 0, b"xx"), b"abcdefab");
        assert_eq!(edited(CUT, 2, &[]), b"ab");
        assert_eq!(edited(6, 0, &[2]), b"cbcdef");
        assert_eq!(edited(7, 3, b"x"), b"abcefd");
        for what in 0..8 {
            edited(what, 0x7fff, b"x");
            edited(what, 0xffff, b"");
        }
    }
}
