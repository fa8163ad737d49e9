//! An input, taken from the front. One that ends too early is as if zeros followed.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The whole of it, up to the bound that all targets have.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(&bytes[..bytes.len().min(super::MAX_INPUT)])
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two bytes, the high one first.
    pub(super) fn u16(&mut self) -> usize {
        let high = usize::from(self.u8());
        high << 8 | usize::from(self.u8())
    }

    /// So many bytes, or what is left.
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// Bytes behind a length of two bytes.
    pub(super) fn vec16(&mut self) -> &'a [u8] {
        let len = self.u16();
        self.take(len)
    }
}

/// The inverse of [`Input::vec16`], as far as a length of two bytes goes.
pub(super) fn put_vec16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(&bytes[..usize::from(len)]);
}

/// xorshift64*: choices that follow from a seed.
pub(super) struct Choices(u64);

impl Choices {
    pub(super) const fn new(seed: u64) -> Self {
        // Zero is the one state that it never leaves.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    /// Below this; 0 for 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() as usize).checked_rem(bound).unwrap_or(0)
    }

    pub(super) const fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
