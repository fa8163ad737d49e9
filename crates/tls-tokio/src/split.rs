//! The two directions of a stream, for two tasks.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use tls_core::{KeyUpdateRequest, Reader, Writer};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, tcp};
use tokio::task::coop;

use crate::error::to_io;
use crate::info::TlsInfo;
use crate::session_keeper::SessionKeeper;
use crate::shutdown::Closing;
use crate::transfer::{self, Readable};

/// A transport that comes apart into one half for each direction.
pub trait SplitTransport {
    /// The half that reads.
    type Read: AsyncRead + Unpin;
    /// The half that writes. Dropping or shutting it down ends the direction.
    type Write: AsyncWrite + Unpin;

    /// The two halves.
    fn split_transport(self) -> (Self::Read, Self::Write);
}

impl SplitTransport for TcpStream {
    type Read = tcp::OwnedReadHalf;
    type Write = tcp::OwnedWriteHalf;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        self.into_split()
    }
}

#[cfg(unix)]
impl SplitTransport for tokio::net::UnixStream {
    type Read = tokio::net::unix::OwnedReadHalf;
    type Write = tokio::net::unix::OwnedWriteHalf;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        self.into_split()
    }
}

impl SplitTransport for DuplexStream {
    type Read = tokio::io::ReadHalf<Self>;
    type Write = tokio::io::WriteHalf<Self>;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        tokio::io::split(self)
    }
}

/// The half of a [`TlsStream`](crate::TlsStream) that reads: see there for what its results mean.
///
/// What reading gives rise to, the answer to a KeyUpdate or an alert, is sent by the [`WriteHalf`] with its next
/// write, flush or shutdown.
pub struct ReadHalf<R> {
    io: R,
    reader: Reader,
    sessions: Option<Box<SessionKeeper>>,
    info: TlsInfo,
}

/// The half of a [`TlsStream`](crate::TlsStream) that writes: see there for what its results mean.
pub struct WriteHalf<W> {
    io: W,
    writer: Writer,
    closing: Closing,
    info: TlsInfo,
}

impl<R> ReadHalf<R> {
    pub(crate) fn new(io: R, reader: Reader, sessions: Option<Box<SessionKeeper>>, info: TlsInfo) -> Self {
        Self {
            io,
            reader,
            sessions,
            info,
        }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &TlsInfo {
        &self.info
    }

    fn keep_sessions(&mut self, cx: &mut Context<'_>) {
        if let Some(sessions) = &mut self.sessions {
            sessions.poll(&mut self.reader, cx);
        }
    }
}

impl<W> WriteHalf<W> {
    pub(crate) fn new(io: W, writer: Writer, closing: Closing, info: TlsInfo) -> Self {
        Self {
            io,
            writer,
            closing,
            info,
        }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &TlsInfo {
        &self.info
    }

    /// As [`TlsStream::request_key_update`](crate::TlsStream::request_key_update).
    ///
    /// # Errors
    /// TLS 1.2 has no KeyUpdate, and a closed side sends none.
    pub fn request_key_update(&mut self) -> io::Result<()> {
        self.writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .map_err(to_io)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for ReadHalf<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        let read = transfer::poll_read(&mut this.reader, &mut this.io, cx, buf);
        this.keep_sessions(cx);
        ready!(read)?;
        budget.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for ReadHalf<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        let lent = transfer::poll_lend(&mut this.reader, &mut this.io, cx);
        this.keep_sessions(cx);
        let readable = ready!(lent)?;
        budget.made_progress();
        Poll::Ready(Ok(match readable {
            Readable::Data => this.reader.data(),
            Readable::Closed => &[],
        }))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().reader.consume(count);
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for WriteHalf<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        transfer::poll_write(&mut this.writer, &mut this.io, cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        transfer::poll_flush(&mut this.writer, &mut this.io, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closing.poll(&mut this.writer, &mut this.io, cx)
    }
}

impl<R> fmt::Debug for ReadHalf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for WriteHalf<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
