//! The two directions of a stream, for two tasks.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::sync::Arc;

use tls_core::{ConnectionFacts, KeyUpdateRequest, Reader, Writer};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, tcp};
use tokio::task::coop;

use crate::error::{is_reset, to_io};
use crate::info::TlsInfo;
use crate::outgoing::{Outgoing, Parts};
use crate::reset::Broken;
use crate::session_keeper::SessionKeeper;
use crate::shutdown::Closing;
use crate::transfer::{self, Ends, EofPolicy, Readable};
use crate::watch::StreamWatch;

/// A transport that comes apart into one half for each direction.
///
/// ```
/// use tls_tokio::SplitTransport;
/// use tokio::io::{ReadHalf, WriteHalf};
///
/// /// A transport of one's own, split by a lock.
/// struct Mine(tokio::io::DuplexStream);
///
/// impl SplitTransport for Mine {
///     type Read = ReadHalf<tokio::io::DuplexStream>;
///     type Write = WriteHalf<tokio::io::DuplexStream>;
///
///     fn split_transport(self) -> (Self::Read, Self::Write) {
///         tokio::io::split(self.0)
///     }
/// }
/// ```
pub trait SplitTransport: Sized {
    /// The half that reads.
    type Read: AsyncRead + Unpin;
    /// The half that writes. Dropping or shutting it down ends the direction.
    type Write: AsyncWrite + Unpin;

    /// The two halves.
    fn split_transport(self) -> (Self::Read, Self::Write);

    /// Puts the halves of one transport together, for [`TlsStream::reunite`](crate::TlsStream::reunite). Unless a
    /// transport says how, it cannot be done.
    ///
    /// # Errors
    /// The halves, if it cannot be done.
    fn reunite_transport(read: Self::Read, write: Self::Write) -> Result<Self, (Self::Read, Self::Write)> {
        Err((read, write))
    }
}

impl SplitTransport for TcpStream {
    type Read = tcp::OwnedReadHalf;
    type Write = tcp::OwnedWriteHalf;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        self.into_split()
    }

    fn reunite_transport(read: Self::Read, write: Self::Write) -> Result<Self, (Self::Read, Self::Write)> {
        read.reunite(write).map_err(|error| (error.0, error.1))
    }
}

#[cfg(unix)]
impl SplitTransport for tokio::net::UnixStream {
    type Read = tokio::net::unix::OwnedReadHalf;
    type Write = tokio::net::unix::OwnedWriteHalf;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        self.into_split()
    }

    fn reunite_transport(read: Self::Read, write: Self::Write) -> Result<Self, (Self::Read, Self::Write)> {
        read.reunite(write).map_err(|error| (error.0, error.1))
    }
}

impl SplitTransport for DuplexStream {
    type Read = tokio::io::ReadHalf<Self>;
    type Write = tokio::io::WriteHalf<Self>;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        tokio::io::split(self)
    }

    fn reunite_transport(read: Self::Read, write: Self::Write) -> Result<Self, (Self::Read, Self::Write)> {
        if read.is_pair_of(&write) {
            Ok(read.unsplit(write))
        } else {
            Err((read, write))
        }
    }
}

/// The half of a [`TlsStream`](crate::TlsStream) that reads: see there for what its results mean.
///
/// What reading gives rise to, the answer to a KeyUpdate, to a close_notify of TLS 1.2, or an alert, is sent by the
/// [`WriteHalf`]: a write, flush or shutdown of it that waits is woken for it, otherwise the next one sends it. Where
/// the writing task does something else for long, let it wait in [`WriteHalf::send_answers`] beside that.
///
/// ```
/// use tls_tokio::TlsStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// async fn both_ways(stream: TlsStream<TcpStream>) -> std::io::Result<TlsStream<TcpStream>> {
///     let (mut read, mut write) = stream.into_split();
///     let writing = tokio::spawn(async move {
///         write.write_all(b"question").await?;
///         write.flush().await?;
///         std::io::Result::Ok(write)
///     });
///     read.read_exact(&mut [0; 6]).await?;
///     let write = writing.await??;
///     Ok(TlsStream::reunite(read, write).map_err(std::io::Error::other)?)
/// }
/// ```
pub struct ReadHalf<R> {
    io: R,
    rest: ReadRest,
}

/// A read half without its transport.
pub(crate) struct ReadRest {
    pub(crate) reader: Reader,
    /// Only kept, for a stream that is put together again.
    pub(crate) facts: ConnectionFacts,
    pub(crate) ends: Ends,
    pub(crate) sessions: Option<Box<SessionKeeper>>,
    pub(crate) info: TlsInfo,
    /// Who is told how the stream ends, if anybody.
    pub(crate) watch: Option<Arc<StreamWatch>>,
}

/// The half of a [`TlsStream`](crate::TlsStream) that writes: see there for what its results mean, and what dropping it
/// does.
///
/// The peer's alerts are seen by the [`ReadHalf`]. Once that has read one, writes, flushes and [`Self::send_answers`]
/// report it, also those that wait; a write that meets a reset gives it a tenth of a second to do so.
///
/// Example: that of [`ReadHalf`](crate::ReadHalf).
pub struct WriteHalf<W> {
    out: Outgoing<W>,
    /// The transport refused a write.
    broken: Option<Box<Broken>>,
    info: TlsInfo,
}

/// A write half without its transport.
pub(crate) struct WriteRest {
    pub(crate) writer: Writer,
    pub(crate) closing: Closing,
    pub(crate) broken: Option<Box<Broken>>,
    pub(crate) watch: Option<Arc<StreamWatch>>,
    info: TlsInfo,
}

impl ReadRest {
    pub(crate) fn with<R>(self, io: R) -> ReadHalf<R> {
        ReadHalf { io, rest: self }
    }
}

impl WriteRest {
    pub(crate) fn with<W: AsyncWrite + Unpin>(self, io: W) -> WriteHalf<W> {
        WriteHalf::new(
            Outgoing::new(io, self.writer, self.closing, self.watch),
            self.broken,
            self.info,
        )
    }
}

impl<R> ReadHalf<R> {
    pub(crate) fn new(io: R, rest: ReadRest) -> Self {
        Self { io, rest }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &TlsInfo {
        &self.rest.info
    }

    /// As [`TlsStream::set_eof_policy`](crate::TlsStream::set_eof_policy).
    pub fn set_eof_policy(&mut self, policy: EofPolicy) {
        self.rest.ends.policy = policy;
    }

    /// As [`TlsStream::mark_complete`](crate::TlsStream::mark_complete).
    pub fn mark_complete(&mut self) {
        self.rest.ends.complete = true;
    }

    /// Has the write half send close_notify and take no more data, as [`ReadHalf`] says of all that it is to send. The
    /// transport's write side is shut down when that half is shut down or dropped.
    pub fn request_close(&self) {
        self.rest.reader.control().request_close_notify();
    }

    /// Whether these are the halves of one stream.
    #[must_use]
    pub fn is_of<W>(&self, write: &WriteHalf<W>) -> bool {
        Arc::ptr_eq(self.rest.reader.control(), write.out.writer.control())
    }

    pub(crate) fn into_parts(self) -> (R, ReadRest) {
        (self.io, self.rest)
    }

    fn keep_sessions(&mut self, cx: &mut Context<'_>) {
        if let Some(sessions) = &mut self.rest.sessions {
            sessions.poll(&mut self.rest.reader, cx);
        }
    }
}

impl<W> WriteHalf<W> {
    pub(crate) fn new(out: Outgoing<W>, broken: Option<Box<Broken>>, info: TlsInfo) -> Self {
        Self { out, broken, info }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &TlsInfo {
        &self.info
    }

    /// How long `shutdown` waits for a peer that does not read. Default: 5 seconds.
    pub fn set_shutdown_timeout(&mut self, limit: core::time::Duration) {
        self.out.closing.set_limit(limit);
    }

    /// As [`TlsStream::abort`](crate::TlsStream::abort), for the direction that this half writes.
    pub fn abort(mut self) {
        self.out.abort();
    }

    /// As [`TlsStream::request_key_update`](crate::TlsStream::request_key_update).
    ///
    /// # Errors
    /// TLS 1.2 has no KeyUpdate, and a closed side sends none.
    pub fn request_key_update(&mut self) -> io::Result<()> {
        self.out
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .map_err(to_io)
    }

    pub(crate) fn into_parts(self) -> (W, WriteRest) {
        let Self { out, broken, info } = self;
        let Parts {
            io,
            writer,
            closing,
            watch,
            ..
        } = out.dismantle();
        let rest = WriteRest {
            writer,
            closing,
            broken,
            watch,
            info,
        };
        (io, rest)
    }
}

impl<W: AsyncWrite + Unpin> WriteHalf<W> {
    /// Sends what is pending, then what reading gives rise to, as it comes, until this half is closed: by the peer's
    /// close_notify in TLS 1.2, by an alert, or by [`ReadHalf::request_close`]. For a task that waits for something to
    /// write:
    ///
    /// ```no_run
    /// # use tls_tokio::WriteHalf;
    /// # use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf, sync::mpsc::Receiver};
    /// # async fn example(mut write: WriteHalf<OwnedWriteHalf>, mut queue: Receiver<Vec<u8>>) -> std::io::Result<()> {
    /// loop {
    ///     tokio::select! {
    ///         data = queue.recv() => match data {
    ///             Some(data) => write.write_all(&data).await?,
    ///             None => break write.shutdown().await,
    ///         },
    ///         closed = write.send_answers() => break closed,
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// As a flush.
    pub async fn send_answers(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            loop {
                self.out.writer.control().register(cx.waker());
                ready!(Pin::new(&mut *self).poll_flush(cx))?;
                if self.out.writer.is_closed() {
                    return Poll::Ready(Ok(()));
                }
                if !self.out.writer.control().is_set() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// One step of writing; one that waits is woken also by what reading gives rise to. One that fails by a reset gives
    /// the read half a moment to say why.
    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl Fn(&mut Parts<W>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.broken.is_none() {
            let mut polled = step(&mut self.out, cx);
            if polled.is_pending() {
                self.out.writer.control().register(cx.waker());
                // It may have come in between. What has to wait for room is put back, and is no reason to go on.
                if self.out.writer.control().is_set() {
                    polled = step(&mut self.out, cx);
                }
            }
            match polled {
                Poll::Ready(Err(error)) if is_reset(&error) => {
                    self.broken = Some(Box::new(Broken::new(error)));
                }
                polled => return polled,
            }
        }
        match &mut self.broken {
            Some(broken) => broken.poll_half(&mut self.out.writer, cx).map(Err),
            None => Poll::Pending,
        }
    }
}

impl<W: AsyncWrite + Unpin> WriteHalf<W> {
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.out.closing.has_failed() {
            match self.poll_out(cx, Parts::poll_shutdown) {
                // Nothing more can be said, but the transport is shut down all the same.
                Poll::Ready(Err(error)) if !self.out.closing.is_over() => self.out.closing.set_failed(error),
                polled => return polled,
            }
        }
        self.out.poll_shutdown(cx)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for ReadHalf<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        let before = buf.filled().len();
        let read = transfer::poll_read(&mut this.rest.reader, &mut this.io, this.rest.ends, cx, buf);
        this.keep_sessions(cx);
        if let Some(watch) = &this.rest.watch {
            let count = buf.filled().len().saturating_sub(before);
            watch.read(count, &read, &mut this.rest.reader);
        }
        ready!(read)?;
        budget.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for ReadHalf<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        let lent = transfer::poll_lend(&mut this.rest.reader, &mut this.io, this.rest.ends, cx);
        this.keep_sessions(cx);
        if let Some(watch) = &this.rest.watch {
            watch.read(0, &lent, &mut this.rest.reader);
        }
        let readable = ready!(lent)?;
        budget.made_progress();
        Poll::Ready(Ok(match readable {
            Readable::Data => this.rest.reader.data(),
            Readable::Closed => &[],
        }))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        let rest = &mut self.get_mut().rest;
        if let Some(watch) = &rest.watch {
            watch.consumed(count.min(rest.reader.data().len()));
        }
        rest.reader.consume(count);
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
        let written = this.poll_out(cx, |out, cx| out.poll_write(cx, data));
        if let Some(watch) = &this.out.watch {
            watch.wrote(&written);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.poll_out(cx, Parts::poll_flush);
        if let Some(watch) = &this.out.watch {
            watch.flushed(&flushed);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_closed(cx);
        if let Some(watch) = &this.out.watch {
            watch.shut_down(&polled, this.out.writer.said_goodbye());
        }
        polled
    }
}

impl<R> fmt::Debug for ReadHalf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf")
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for WriteHalf<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf")
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

/// Halves that do not belong together, or cannot be put together: both of them.
///
/// Example: that of [`ReadHalf`](crate::ReadHalf).
pub struct ReuniteError<R, W> {
    /// The half that reads.
    pub read: ReadHalf<R>,
    /// The half that writes.
    pub write: WriteHalf<W>,
}

impl<R, W> fmt::Debug for ReuniteError<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<R, W> fmt::Display for ReuniteError<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read.is_of(&self.write) {
            "the transport of these halves of a stream cannot be put together"
        } else {
            "these halves are of different streams"
        })
    }
}

impl<R, W> std::error::Error for ReuniteError<R, W> {}
