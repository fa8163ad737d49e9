//! Plaintext cut into records (section 5.1), and how far they are padded (section 5.4).

use std::io::IoSlice;

/// How far records are padded, to hide the length of their content.
///
/// ```
/// use tls_core::{ClientConfig, Padding};
///
/// let config = ClientConfig::builder()
///     .dangerously_accept_any_certificate()
///     .padding(Padding::MultipleOf(512))
///     .build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// Not at all.
    #[default]
    None,
    /// To the next multiple of this many bytes of content, or to the longest record where that is nearer.
    MultipleOf(u16),
}

impl Padding {
    /// Zero bytes to add to content of this length.
    pub(super) fn len(self, content: usize, max_fragment: usize) -> usize {
        match self {
            Self::None => 0,
            Self::MultipleOf(block) => {
                let padded = content.max(1).next_multiple_of(usize::from(block.max(1)));
                padded.min(max_fragment).saturating_sub(content)
            }
        }
    }
}

/// Slices that are written one after the other, cut into pieces for records.
pub(super) struct Gather<'a, 'b> {
    /// What is left of the first slice that is not used up.
    first: &'a [u8],
    rest: &'a [IoSlice<'b>],
    /// Bytes left in all of them.
    remaining: usize,
}

impl<'a, 'b> Gather<'a, 'b> {
    pub(super) fn new(slices: &'a [IoSlice<'b>]) -> Self {
        let remaining = slices
            .iter()
            .fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        Self {
            first: &[],
            rest: slices,
            remaining,
        }
    }

    /// Bytes left.
    pub(super) const fn remaining(&self) -> usize {
        self.remaining
    }

    /// The next `len` bytes if they lie in one slice: they need no copy.
    pub(super) fn contiguous(&mut self, len: usize) -> Option<&'a [u8]> {
        self.skip_empty();
        let (piece, first) = self.first.split_at_checked(len)?;
        self.first = first;
        self.remaining -= len;
        Some(piece)
    }

    /// Copies the next bytes, as many as `out` holds.
    pub(super) fn copy_to(&mut self, mut out: &mut [u8]) {
        loop {
            self.skip_empty();
            let len = out.len().min(self.first.len());
            let (Some((piece, first)), Some((to, rest))) = (
                self.first.split_at_checked(len),
                core::mem::take(&mut out).split_at_mut_checked(len),
            ) else {
                return;
            };
            to.copy_from_slice(piece);
            self.first = first;
            self.remaining -= len;
            out = rest;
            if out.is_empty() || len == 0 {
                return;
            }
        }
    }

    fn skip_empty(&mut self) {
        while let (true, Some((slice, rest))) = (self.first.is_empty(), self.rest.split_first()) {
            self.first = slice;
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_cut_where_records_end() {
        let slices = [&b"ab"[..], b"", b"cdef", b"g"].map(IoSlice::new);
        let mut gather = Gather::new(&slices);
        assert_eq!(gather.remaining(), 7);
        assert_eq!(gather.contiguous(3), None);
        let mut record = [0; 3];
        gather.copy_to(&mut record);
        assert_eq!((&record, gather.remaining()), (b"abc", 4));
        assert_eq!(gather.contiguous(3), Some(&b"def"[..]));
        assert_eq!(gather.contiguous(1), Some(&b"g"[..]));
        assert_eq!((gather.remaining(), gather.contiguous(1)), (0, None));
    }

    #[test]
    fn padding_reaches_the_next_block_but_not_beyond_the_record() {
        assert_eq!(Padding::None.len(5, 100), 0);
        let padding = Padding::MultipleOf(64);
        assert_eq!(
            [0, 1, 64, 65, 99, 100].map(|len| padding.len(len, 100)),
            [64, 63, 0, 35, 1, 0]
        );
        assert_eq!(Padding::MultipleOf(0).len(5, 100), 0);
    }
}
