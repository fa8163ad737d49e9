//! Byte buffers that stay at full length, and the pool they come from and go back to.
//!
//! Their content is never cleared: zero-filling costs an eighth of an encryption, and wiping costs twice one.

use core::cell::RefCell;
use core::ops::Range;

use super::MAX_FRAGMENT;
use super::header::{HEADER_LEN, MAX_EXPANSION};

/// Room for the longest record and more: a read that does not fill the space offered tells Tokio without another
/// system call that the socket is empty.
pub(crate) const SMALL: usize = 18 * 1024;

/// Room for four full records (65,624 bytes), so that one system call moves 64 KiB of content.
pub(crate) const LARGE: usize = 66 * 1024;

/// Buffers of each size kept per thread: half a MiB of each. They are only held while bytes wait in them, so a
/// thread needs few at a time; what is over the limit is freed.
const KEPT_SMALL: usize = 28;
const KEPT_LARGE: usize = 8;

const _: () = assert!(SMALL > HEADER_LEN + MAX_FRAGMENT + MAX_EXPANSION);

/// Bytes between two cursors in memory that was written before, so that no part of it needs to be filled again.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Without memory.
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    pub(super) const fn start(&self) -> usize {
        self.start
    }

    pub(super) const fn end(&self) -> usize {
        self.end
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes between the cursors.
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of memory.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes between the cursors.
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// All memory after the end cursor.
    pub(super) fn free_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Any part of the memory; empty where there is none.
    pub(super) fn range(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Any part of the memory; empty where there is none.
    pub(super) fn range_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// Takes the next `n` bytes after the end cursor in, which the caller has written.
    pub(super) fn extend(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.bytes.len());
    }

    /// Drops `n` bytes at the start cursor.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Moves both cursors to the start, dropping what is between them.
    pub(super) fn reset(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Makes sure that `room` bytes are free after `keep.end`, and keeps the bytes of `keep`, which must reach
    /// from before the start cursor to the end cursor or beyond. They move down where they must; returned is by how
    /// many bytes.
    pub(super) fn make_room(&mut self, keep: Range<usize>, room: usize) -> usize {
        if self.bytes.len().saturating_sub(keep.end) >= room {
            return 0;
        }
        let shift = keep.start;
        let needed = keep.len().saturating_add(room);
        if needed <= self.bytes.len() {
            self.bytes.copy_within(keep, 0);
        } else {
            let mut bytes = take(needed);
            if let (Some(to), Some(from)) = (bytes.get_mut(..keep.len()), self.bytes.get(keep)) {
                to.copy_from_slice(from);
            }
            give(core::mem::replace(&mut self.bytes, bytes));
        }
        self.start -= shift;
        self.end -= shift;
        shift
    }

    /// Gives the memory back to the pool; what is in it is lost.
    pub(super) fn release(&mut self) {
        if !self.bytes.is_empty() {
            give(core::mem::take(&mut self.bytes));
        }
        self.reset();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

/// Free buffers of one thread.
struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { small: Vec::new(), large: Vec::new() }) };
}

/// Memory of at least this size, from the pool where it has one. Beyond [`LARGE`] it is made for the occasion.
fn take(needed: usize) -> Vec<u8> {
    let size = if needed <= SMALL {
        SMALL
    } else if needed <= LARGE {
        LARGE
    } else {
        needed.checked_next_power_of_two().unwrap_or(needed)
    };
    let pooled = POOL.try_with(|pool| {
        let mut pool = pool.try_borrow_mut().ok()?;
        match size {
            SMALL => pool.small.pop(),
            LARGE => pool.large.pop(),
            _ => None,
        }
    });
    pooled.ok().flatten().unwrap_or_else(|| vec![0; size])
}

/// Takes memory back, or frees it where there is enough.
fn give(bytes: Vec<u8>) {
    // A thread that is ending has no pool any more: the memory is freed.
    let _ = POOL.try_with(|pool| {
        let Ok(mut pool) = pool.try_borrow_mut() else {
            return;
        };
        match bytes.len() {
            SMALL if pool.small.len() < KEPT_SMALL => pool.small.push(bytes),
            LARGE if pool.large.len() < KEPT_LARGE => pool.large.push(bytes),
            _ => {}
        }
    });
}

/// Free buffers of this thread: small, large.
#[cfg(test)]
pub(crate) fn pooled() -> (usize, usize) {
    POOL.with(|pool| {
        let pool = pool.borrow();
        (pool.small.len(), pool.large.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new();
        buffer.make_room(0..0, bytes.len());
        buffer.free_mut()[..bytes.len()].copy_from_slice(bytes);
        buffer.extend(bytes.len());
        buffer
    }

    #[test]
    fn a_released_buffer_is_taken_again() {
        let mut buffer = filled(b"abc");
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"abc"[..], SMALL));
        buffer.release();
        assert_eq!((pooled(), buffer.capacity()), ((1, 0), 0));
        let other = filled(&[1; SMALL]);
        assert_eq!((pooled(), other.capacity()), ((0, 0), SMALL));
    }

    #[test]
    fn the_pool_is_capped() {
        let many: Vec<Buffer> = (0..2 * KEPT_LARGE).map(|_| filled(&[1; SMALL + 1])).collect();
        drop(many);
        assert_eq!(pooled(), (0, KEPT_LARGE));
    }

    #[test]
    fn bytes_move_down_before_memory_grows() {
        let mut buffer = filled(&[7; SMALL - 1]);
        buffer.consume(SMALL - 4);
        let keep = buffer.start()..buffer.end();
        assert_eq!(buffer.make_room(keep, 100), SMALL - 4);
        assert_eq!((buffer.filled(), buffer.capacity()), (&[7; 3][..], SMALL));
        assert_eq!(buffer.make_room(0..3, SMALL), 0);
        assert_eq!((buffer.filled(), buffer.capacity()), (&[7; 3][..], LARGE));
        assert_eq!(buffer.make_room(0..3, LARGE), 0);
        assert_eq!((buffer.filled(), buffer.capacity()), (&[7; 3][..], 128 * 1024));
    }
}
