//! What goes to the peer: messages and data to records, records to bytes.

use std::io::IoSlice;

use super::MAX_FRAGMENT;
use super::buffer::{Buffer, LARGE, SMALL};
use super::protect::WriteProtection;
use super::split::{Gather, Padding};
use crate::crypto::aead::SealingKey;
use crate::error::Error;
use crate::registry::{ContentType, ProtocolVersion};

/// The write side of the record layer.
///
/// Messages are queued without limit, data is accepted as far as it fits. The transport writes [`Self::pending`]
/// and says with [`Self::sent`] how much it took.
pub(crate) struct Output {
    /// Records ready to be sent lie between its cursors; the unfinished one follows.
    buffer: Buffer,
    protection: WriteProtection,
    /// Handshake bytes in the unfinished record, which lie behind the end cursor of the buffer, after room for what
    /// stands before them. Messages of one flight share records as long as nothing else comes between them.
    unfinished: usize,
    /// The last buffer held more than a small one can: the next one is large at once, instead of by a copy.
    busy: bool,
    padding: Padding,
    /// Most bytes of content in one record.
    max_fragment: usize,
}

impl Output {
    /// The start of a connection: no memory, no protection, no padding, records of full length.
    pub(crate) const fn new() -> Self {
        Self {
            buffer: Buffer::new(),
            protection: WriteProtection::plaintext(),
            unfinished: 0,
            busy: false,
            padding: Padding::None,
            max_fragment: MAX_FRAGMENT,
        }
    }

    /// The version that plaintext records carry, TLS 1.2 unless set. A first ClientHello may say TLS 1.0
    /// (section 5.1).
    pub(crate) fn set_legacy_version(&mut self, version: ProtocolVersion) {
        self.protection.set_version(version);
    }

    /// Most bytes of content in one record, 1 to [`MAX_FRAGMENT`] (RFC 8449 and policies for small records).
    pub(crate) fn set_max_fragment(&mut self, max_fragment: usize) {
        self.max_fragment = max_fragment.clamp(1, MAX_FRAGMENT);
    }

    /// How far protected records are padded.
    pub(crate) fn set_padding(&mut self, padding: Padding) {
        self.padding = padding;
    }

    /// Seals records from here on with this key. What is queued goes out under the one before.
    pub(crate) fn set_keys(&mut self, key: SealingKey, limit: u64) -> Result<(), Error> {
        self.finish_flight()?;
        self.protection.set_keys(key, limit);
        Ok(())
    }

    /// As [`Self::set_keys`], in TLS 1.2. The key must be one for that.
    pub(crate) fn set_keys12(&mut self, key: SealingKey, limit: u64) -> Result<(), Error> {
        self.finish_flight()?;
        self.protection.set_keys12(key, limit);
        Ok(())
    }

    /// Goes back to records without protection: a client whose early data ends with a HelloRetryRequest
    /// (section 4.1.4). What is queued goes out as it is.
    pub(crate) fn set_plaintext(&mut self) -> Result<(), Error> {
        self.finish_flight()?;
        self.protection = WriteProtection::plaintext();
        Ok(())
    }

    /// Whether the key is near the end of what it may protect (section 5.5). In TLS 1.2 it cannot be replaced: no
    /// more data is taken, but a few alerts are.
    pub(crate) fn needs_key_update(&self) -> bool {
        self.protection.needs_key_update()
    }

    /// Queues a message, whatever its length. Handshake messages wait for more to share their record with, until
    /// [`Self::finish_flight`].
    pub(crate) fn queue(&mut self, content_type: ContentType, content: &[u8]) -> Result<(), Error> {
        if content_type == ContentType::HANDSHAKE {
            return self.queue_handshake(content);
        }
        self.finish_flight()?;
        for fragment in content.chunks(self.max_fragment) {
            self.seal_next(
                content_type,
                fragment.len(),
                &mut Gather::new(&[IoSlice::new(fragment)]),
            )?;
        }
        Ok(())
    }

    /// Queues a change_cipher_spec without protection: the dummy of TLS 1.3 (section D.4), or that of TLS 1.2, which
    /// stands before the change of keys.
    pub(crate) fn queue_change_cipher_spec(&mut self) -> Result<(), Error> {
        self.finish_flight()?;
        let mut plaintext = WriteProtection::plaintext();
        core::mem::swap(&mut plaintext, &mut self.protection);
        let queued = self.queue(ContentType::CHANGE_CIPHER_SPEC, &[1]);
        self.protection = plaintext;
        queued
    }

    /// Ends the record that gathers handshake messages. To be called before the transport is to write.
    pub(crate) fn finish_flight(&mut self) -> Result<(), Error> {
        if self.unfinished == 0 {
            return Ok(());
        }
        let (content_len, length) = (self.unfinished, self.record_len(self.unfinished));
        self.make_room(length);
        let record = self.buffer.free_mut().get_mut(..length).unwrap_or_default();
        self.protection
            .seal_in_place(ContentType::HANDSHAKE, content_len, record)?;
        self.buffer.extend(length);
        self.unfinished = 0;
        Ok(())
    }

    /// Seals as much data as fits into 64 KiB of output, from where it is, and returns how many bytes that are. The
    /// slices are gathered into full records. 0 means that pending bytes must be sent first (or that there is no
    /// data).
    pub(crate) fn write_application_data(&mut self, data: &[IoSlice<'_>]) -> Result<usize, Error> {
        self.finish_flight()?;
        let mut gather = Gather::new(data);
        let total = gather.remaining();
        if total == 0 {
            return Ok(0);
        }
        let first = self.record_len(total.min(self.max_fragment));
        let available = LARGE.saturating_sub(self.buffer.len());
        if first > available {
            return Ok(0);
        }
        let room = if self.busy && self.buffer.capacity() < LARGE {
            available
        } else if total <= self.max_fragment {
            first
        } else {
            let records = total.div_ceil(self.max_fragment).min(LARGE / first + 1);
            first.saturating_mul(records).min(available)
        };
        self.make_room(room);
        while gather.remaining() > 0 {
            let content_len = gather.remaining().min(self.max_fragment);
            if self.record_len(content_len) > self.buffer.free_mut().len()
                || self.protection.needs_key_update()
            {
                break;
            }
            self.seal_next(ContentType::APPLICATION_DATA, content_len, &mut gather)?;
        }
        Ok(total - gather.remaining())
    }

    /// Bytes for the transport, without a flight that was not finished.
    pub(crate) fn pending(&self) -> &[u8] {
        self.buffer.filled()
    }

    /// The transport took the first `n` bytes of [`Self::pending`]. With the last of them the buffer goes back to
    /// the pool.
    pub(crate) fn sent(&mut self, n: usize) {
        self.buffer.consume(n);
        if self.buffer.is_empty() && self.unfinished == 0 {
            self.busy = self.buffer.end() > SMALL;
            self.buffer.release();
        }
    }

    /// Queues a record without content, for tests of how it is received.
    #[cfg(test)]
    pub(crate) fn queue_empty(&mut self, content_type: ContentType) -> Result<(), Error> {
        self.seal_next(content_type, 0, &mut Gather::new(&[]))
    }

    fn queue_handshake(&mut self, mut content: &[u8]) -> Result<(), Error> {
        while !content.is_empty() {
            if self.unfinished >= self.max_fragment {
                self.finish_flight()?;
            }
            let fits = (self.max_fragment - self.unfinished).min(content.len());
            let (piece, rest) = content.split_at_checked(fits).unwrap_or((content, &[]));
            let at = self.protection.content_at() + self.unfinished;
            self.make_room(self.record_len(self.unfinished + piece.len()));
            if let Some(to) = self.buffer.free_mut().get_mut(at..at + piece.len()) {
                to.copy_from_slice(piece);
            }
            self.unfinished += piece.len();
            content = rest;
        }
        Ok(())
    }

    /// Makes one record of the next `content_len` bytes.
    #[inline]
    fn seal_next(
        &mut self,
        content_type: ContentType,
        content_len: usize,
        gather: &mut Gather<'_, '_>,
    ) -> Result<(), Error> {
        let length = self.record_len(content_len);
        self.make_room(length);
        let record = self.buffer.free_mut().get_mut(..length).unwrap_or_default();
        let padded = length > content_len + self.protection.overhead();
        match gather.contiguous(content_len) {
            Some(content) if !padded => self.protection.seal(content_type, content, record)?,
            contiguous => {
                let at = self.protection.content_at();
                let to = record.get_mut(at..at + content_len).unwrap_or_default();
                match contiguous {
                    Some(content) => to.copy_from_slice(content),
                    None => gather.copy_to(to),
                }
                self.protection.seal_in_place(content_type, content_len, record)?;
            }
        }
        self.buffer.extend(length);
        Ok(())
    }

    /// Bytes of a record with this much content.
    #[inline]
    fn record_len(&self, content_len: usize) -> usize {
        let padding = if self.protection.may_pad() {
            self.padding.len(content_len, self.max_fragment)
        } else {
            0
        };
        content_len + padding + self.protection.overhead()
    }

    /// Makes sure that the free part of the buffer has this many bytes, the unfinished record included.
    #[inline]
    fn make_room(&mut self, room: usize) {
        if self.buffer.capacity() - self.buffer.end() >= room {
            return;
        }
        let begun = if self.unfinished == 0 {
            0
        } else {
            self.protection.content_at() + self.unfinished
        };
        let keep = self.buffer.start()..self.buffer.end() + begun;
        self.buffer.make_room(keep, room.saturating_sub(begun));
    }
}
