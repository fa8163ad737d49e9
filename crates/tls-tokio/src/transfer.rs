//! Moving bytes between a connection and its transport: what the whole stream and its halves have in common.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use tls_core::{ErrorKind, ReadEvent, Reader, Writer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::to_io;

/// Why a read ended without an error.
pub(crate) enum Readable {
    /// There is data: delivered, or lent by the reader.
    Data,
    /// The peer closed its side in order.
    Closed,
}

/// Whether the end of the transport may stand for the end of the peer's data.
///
/// ```
/// use tls_tokio::{EofPolicy, TlsStream};
/// use tokio::net::TcpStream;
///
/// /// Every message of this protocol says how long it is.
/// fn accept_rude_ends(stream: &mut TlsStream<TcpStream>) {
///     stream.set_eof_policy(EofPolicy::AcceptAtRecordBoundary);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EofPolicy {
    /// Only close_notify ends the data. A transport that ends without it is an error of kind
    /// [`io::ErrorKind::UnexpectedEof`]: somebody may have cut the data short. The default.
    #[default]
    RequireCloseNotify,
    /// The end of the transport between two records is an end of file too; inside a record it stays an error. Only for
    /// protocols that frame themselves, and can tell by their own means that nothing is missing: anybody on the way can
    /// end the data after any record.
    AcceptAtRecordBoundary,
}

/// What is taken for an end.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) policy: EofPolicy,
    /// The protocol has all that it waits for: wherever the transport ends, nothing is missing.
    pub(crate) complete: bool,
}

impl Ends {
    /// What the reader has next, where an accepted end is an end.
    fn process(self, reader: &mut Reader) -> io::Result<ReadEvent> {
        match reader.process() {
            Ok(event) => Ok(event),
            Err(error) if matches!(error.kind(), ErrorKind::Truncated) && self.accept(reader) => {
                Ok(ReadEvent::Closed)
            }
            Err(error) => Err(to_io(error)),
        }
    }

    fn accept(self, reader: &Reader) -> bool {
        let framed = self.policy == EofPolicy::AcceptAtRecordBoundary;
        self.complete || framed && reader.is_at_record_boundary()
    }
}

/// Reads from the transport until the reader lends data, or the end.
pub(crate) fn poll_lend<R: AsyncRead + Unpin>(
    reader: &mut Reader,
    io: &mut R,
    ends: Ends,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Readable>> {
    loop {
        match ends.process(reader)? {
            ReadEvent::Data => return Poll::Ready(Ok(Readable::Data)),
            ReadEvent::Closed => return Poll::Ready(Ok(Readable::Closed)),
            // `ReadEvent` may grow; whatever it will say, more bytes are what can help.
            _ => ready!(poll_fill(reader, io, cx))?,
        }
    }
}

/// Reads from the transport until something could be delivered into the caller's buffer, or the end.
pub(crate) fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut Reader,
    io: &mut R,
    ends: Ends,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<Readable>> {
    let before = buf.filled().len();
    loop {
        deliver(reader, buf);
        if buf.filled().len() > before {
            // The next read may be long in coming: a connection whose data is worked on holds no buffer either.
            reader.release_if_idle();
            return Poll::Ready(Ok(Readable::Data));
        }
        match ends.process(reader)? {
            ReadEvent::Data => {}
            ReadEvent::Closed => return Poll::Ready(Ok(Readable::Closed)),
            _ => ready!(poll_fill(reader, io, cx))?,
        }
    }
}

/// Reads from the transport once. While it has nothing, no buffer is held.
pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
    reader: &mut Reader,
    io: &mut R,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut space = ReadBuf::new(reader.space());
    match Pin::new(io).poll_read(cx, &mut space) {
        Poll::Ready(Ok(())) => match space.filled().len() {
            0 => reader.eof(),
            count => reader.filled(count),
        },
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        Poll::Pending => {
            reader.release_if_idle();
            return Poll::Pending;
        }
    }
    Poll::Ready(Ok(()))
}

/// Moves decrypted data into the caller's buffer, from as many records as are there.
///
/// Where all of the buffer is initialised, records are decrypted straight into it. Otherwise they are decrypted in
/// place and copied: initialising the buffer would cost as much as the copy.
fn deliver(reader: &mut Reader, buf: &mut ReadBuf<'_>) {
    if buf.initialized().len() == buf.capacity() {
        let count = reader.read_into(buf.initialize_unfilled());
        buf.advance(count);
        return;
    }
    while buf.remaining() > 0 {
        let data = reader.data();
        let count = data.len().min(buf.remaining());
        buf.put_slice(data.get(..count).unwrap_or_default());
        reader.consume(count);
        // An error is kept for the next read.
        if reader.data().is_empty() && !matches!(reader.process(), Ok(ReadEvent::Data)) {
            return;
        }
    }
}

/// Writes all that is pending.
pub(crate) fn poll_push<W: AsyncWrite + Unpin>(
    writer: &mut Writer,
    io: &mut W,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !writer.pending().is_empty() {
        match ready!(Pin::new(&mut *io).poll_write(cx, writer.pending()))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => writer.sent(count),
        }
    }
    Poll::Ready(Ok(()))
}

/// Seals as much of the caller's data as the output takes, and sends what the transport takes of that at once.
pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
    writer: &mut Writer,
    io: &mut W,
    cx: &mut Context<'_>,
    data: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if data.iter().all(|slice| slice.is_empty()) {
        return Poll::Ready(Ok(0));
    }
    loop {
        let accepted = match writer.write_vectored(data) {
            Ok(accepted) => accepted,
            Err(error) => {
                // Often it was an alert that closed the writer, just now: it leaves though the data does not.
                if writer.ended_by_peer().is_none() {
                    let _ = poll_push(writer, io, cx);
                }
                return Poll::Ready(Err(to_io(error)));
            }
        };
        let pushed = poll_push(writer, io, cx)?;
        if accepted > 0 {
            // What is still pending is ours now, and goes with the next write, flush or read.
            return Poll::Ready(Ok(accepted));
        }
        ready!(pushed);
    }
}

/// Sends all that was accepted and all that reading gave rise to.
pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
    writer: &mut Writer,
    io: &mut W,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        writer.apply_control().map_err(to_io)?;
        if let Some(error) = writer.ended_by_peer() {
            // What was accepted will not arrive.
            return Poll::Ready(Err(to_io(error)));
        }
        ready!(poll_push(writer, io, cx))?;
        // The answer to a KeyUpdate waits while much is pending, and there is room for it now.
        if !writer.control().is_set() {
            return Pin::new(io).poll_flush(cx);
        }
    }
}
