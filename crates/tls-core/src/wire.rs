//! Reading and writing the presentation language of section 3: fixed-width integers, vectors with length prefixes.

use core::ops::{Deref, DerefMut};

/// Peer bytes that do not parse: which message and field, how far in, and what is wrong.
///
/// ```
/// use tls_core::{ClientSession, Problem};
///
/// let error = ClientSession::from_bytes(&[]).unwrap_err();
/// assert_eq!((error.offset, error.problem), (0, Problem::TooShort));
/// println!("{error}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadBytes {
    /// The message, record or structure that was read.
    pub message: &'static str,
    /// The field of it, by its name in the RFC.
    pub field: &'static str,
    /// Bytes from the start of the message body to the start of the field.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The field that an extension is called by whose type has no name here.
pub(crate) const UNKNOWN_EXTENSION: &str = "extension_data";

/// What is wrong with a field.
///
/// Example: that of [`BadBytes`](crate::BadBytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes end before the field does.
    TooShort,
    /// Bytes follow the end of the structure.
    TrailingBytes,
    /// A vector is outside the bounds the RFC gives it.
    LengthOutOfBounds,
    /// An extension or list entry appears twice.
    Duplicate,
    /// The value is not one that may stand here.
    IllegalValue,
    /// A field that has a single value for ever has another.
    NotConstant,
}

impl core::fmt::Display for BadBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let problem = match self.problem {
            Problem::TooShort => "ends too early",
            Problem::TrailingBytes => "is followed by bytes that do not belong there",
            Problem::LengthOutOfBounds => "has a length outside its bounds",
            Problem::Duplicate => "appears twice",
            Problem::IllegalValue | Problem::NotConstant => "has a value that may not stand there",
        };
        write!(
            f,
            "{}: {} (at byte {}) {problem}",
            self.message, self.field, self.offset
        )
    }
}

/// A cursor over peer bytes. Nothing in it can panic; every read names its field.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    message: &'static str,
    bytes: &'a [u8],
    /// Offset of `bytes[0]` from the start of the message body.
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            message,
            bytes,
            offset: 0,
        }
    }

    pub(crate) const fn error(&self, field: &'static str, problem: Problem) -> BadBytes {
        BadBytes {
            message: self.message,
            field,
            offset: self.offset,
            problem,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], BadBytes> {
        let (head, tail) = self
            .bytes
            .split_at_checked(len)
            .ok_or_else(|| self.error(field, Problem::TooShort))?;
        self.bytes = tail;
        self.offset += len;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], BadBytes> {
        let (head, tail) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or_else(|| self.error(field, Problem::TooShort))?;
        self.bytes = tail;
        self.offset += N;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, BadBytes> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, BadBytes> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self, field: &'static str) -> Result<u32, BadBytes> {
        self.array::<3>(field)
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, BadBytes> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = core::mem::take(&mut self.bytes);
        self.offset += rest.len();
        rest
    }

    /// A vector with a one-byte length, as a reader over its content.
    pub(crate) fn vec8(&mut self, field: &'static str) -> Result<Self, BadBytes> {
        let len = self.u8(field)?;
        self.sub(field, len.into())
    }

    /// A vector with a two-byte length.
    pub(crate) fn vec16(&mut self, field: &'static str) -> Result<Self, BadBytes> {
        let len = self.u16(field)?;
        self.sub(field, len.into())
    }

    /// A vector with a three-byte length.
    pub(crate) fn vec24(&mut self, field: &'static str) -> Result<Self, BadBytes> {
        let len = self.u24(field)?;
        self.sub(field, usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn sub(&mut self, field: &'static str, len: usize) -> Result<Self, BadBytes> {
        let offset = self.offset;
        let bytes = self.take(field, len)?;
        Ok(Self {
            message: self.message,
            bytes,
            offset,
        })
    }

    /// The same reader, if it holds at least one byte: for vectors whose lower bound is not zero.
    pub(crate) fn not_empty(self, field: &'static str) -> Result<Self, BadBytes> {
        if self.is_empty() {
            Err(self.error(field, Problem::LengthOutOfBounds))
        } else {
            Ok(self)
        }
    }

    /// The elements of a vector up to its end, in wire order.
    pub(crate) fn list<T>(
        mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, BadBytes>,
    ) -> Result<Vec<T>, BadBytes> {
        let mut list = Vec::new();
        while !self.is_empty() {
            list.push(element(&mut self)?);
        }
        Ok(list)
    }

    /// A list of 16-bit code points.
    pub(crate) fn list_u16<T: From<u16>>(mut self, field: &'static str) -> Result<Vec<T>, BadBytes> {
        let mut list = Vec::with_capacity(self.remaining() / 2);
        while !self.is_empty() {
            list.push(T::from(self.u16(field)?));
        }
        Ok(list)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self, field: &'static str) -> Result<(), BadBytes> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.error(field, Problem::TrailingBytes))
        }
    }
}

/// A vector being written: everything pushed through it is counted, and the length prefix is set when it is dropped.
///
/// Until then the prefix holds its greatest value, so that a message left half written is refused by any reader
/// rather than misread; the same happens if the content outgrows the prefix.
pub(crate) struct Prefixed<'a, const N: usize> {
    out: &'a mut Vec<u8>,
    start: usize,
}

/// A vector with a one-byte length.
pub(crate) type Prefixed8<'a> = Prefixed<'a, 1>;
/// A vector with a two-byte length.
pub(crate) type Prefixed16<'a> = Prefixed<'a, 2>;
/// A vector with a three-byte length.
pub(crate) type Prefixed24<'a> = Prefixed<'a, 3>;

impl<'a, const N: usize> Prefixed<'a, N> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(&[0xff; N]);
        let start = out.len();
        Self { out, start }
    }
}

impl<const N: usize> Deref for Prefixed<'_, N> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        self.out
    }
}

impl<const N: usize> DerefMut for Prefixed<'_, N> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.out
    }
}

impl<const N: usize> Drop for Prefixed<'_, N> {
    fn drop(&mut self) {
        let len = (self.out.len().saturating_sub(self.start) as u64).to_be_bytes();
        let (high, low) = len.split_at(8 - N);
        let fits = high.iter().all(|byte| *byte == 0);
        debug_assert!(fits, "a vector outgrew its length prefix");
        let prefix = self
            .start
            .checked_sub(N)
            .and_then(|from| self.out.get_mut(from..self.start));
        if let (true, Some(prefix)) = (fits, prefix) {
            prefix.copy_from_slice(low);
        }
    }
}

/// Big-endian integers on the end of a message.
pub(crate) trait Put {
    fn put_u8(&mut self, value: impl Into<u8>);
    fn put_u16(&mut self, value: impl Into<u16>);
    fn put_u32(&mut self, value: u32);
    fn put(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: impl Into<u8>) {
        self.push(value.into());
    }

    fn put_u16(&mut self, value: impl Into<u16>) {
        self.extend_from_slice(&value.into().to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_vectors_get_their_lengths_when_they_end() {
        let mut out = Vec::new();
        {
            let mut outer = Prefixed16::new(&mut out);
            outer.put_u8(7);
            let mut inner = Prefixed8::new(&mut outer);
            inner.put(b"abc");
        }
        assert_eq!(out, [0, 5, 7, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn a_vector_left_half_written_is_refused_by_a_reader() {
        let mut out = Vec::new();
        core::mem::forget(Prefixed16::new(&mut out));
        out.put(b"abc");
        assert_eq!(
            Reader::new("test", &out).vec16("list").unwrap_err().problem,
            Problem::TooShort
        );
    }

    #[test]
    fn an_error_names_the_field_and_where_it_starts() {
        let mut reader = Reader::new("Test", &[1, 2, 3]);
        reader.u16("first").unwrap();
        let error = reader.u16("second").unwrap_err();
        assert_eq!(error.to_string(), "Test: second (at byte 2) ends too early");
    }

    #[test]
    fn a_vector_gives_a_reader_over_its_content_only() {
        let mut reader = Reader::new("Test", &[2, 0, 9, 5]);
        assert_eq!(
            reader.vec8("list").unwrap().list_u16::<u16>("entry").unwrap(),
            [9]
        );
        assert_eq!(reader.end("Test").unwrap_err().problem, Problem::TrailingBytes);
    }
}
