//! An established connection as a Tokio stream.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;

use tls_core::{Connection, KeyUpdateRequest};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::error::to_io;
use crate::info::TlsInfo;
use crate::session_keeper::SessionKeeper;
use crate::shutdown::Closing;
use crate::split::{ReadHalf, SplitTransport, WriteHalf};
use crate::transfer::{self, Readable};

/// An established TLS connection on a transport.
///
/// **Reading.** End of file means that the peer sent close_notify. A transport that ends without one is an error of
/// kind [`io::ErrorKind::UnexpectedEof`], after all data that came before it: somebody may have cut the data short.
/// [`AsyncBufRead`] lends decrypted data without copying it.
///
/// **Writing.** Data is sealed and sent at once, as far as the transport takes it; up to 66 KiB that it does not take
/// wait here. [`flush`](tokio::io::AsyncWriteExt::flush) waits until the transport has taken all.
///
/// **Closing.** [`shutdown`](tokio::io::AsyncWriteExt::shutdown) sends close_notify and shuts the transport's write
/// side down, within 5 seconds even if the peer does not read; reading goes on.
/// [`Self::graceful_shutdown`] waits for the peer's close_notify too. Dropping the stream drops the transport.
///
/// Both directions can be used at the same time, by [`Self::into_split`] or [`tokio::io::split`].
pub struct TlsStream<IO> {
    pub(crate) io: IO,
    connection: Connection,
    handshake_time: Duration,
    pub(crate) closing: Closing,
    sessions: Option<Box<SessionKeeper>>,
    /// Who waits for the transport to take bytes. Reading sends pending bytes too, and the transport then knows the
    /// reader's waker only.
    writing: Option<Waker>,
}

impl<IO> TlsStream<IO> {
    pub(crate) fn new(
        io: IO,
        connection: Connection,
        handshake_time: Duration,
        sessions: Option<Box<SessionKeeper>>,
    ) -> Self {
        Self {
            io,
            connection,
            handshake_time,
            closing: Closing::new(),
            sessions,
            writing: None,
        }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> TlsInfo {
        TlsInfo::new(Arc::clone(self.connection.negotiated()), self.handshake_time)
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// How long `shutdown` waits for a peer that does not read. Default: 5 seconds.
    pub fn set_shutdown_timeout(&mut self, limit: Duration) {
        self.closing.set_limit(limit);
    }

    /// Makes bytes that both ends of this connection can compute and nobody else (section 7.5, RFC 5705).
    ///
    /// # Errors
    /// [`tls_core::Misuse::ExporterRange`] for a label over 249 bytes, or more output than 255 hashes.
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), tls_core::Error> {
        self.connection.export_keying_material(out, label, context)
    }

    /// The same from the secret of the early data, where some was accepted: see
    /// [`Connection::export_early_keying_material`](tls_core::Connection::export_early_keying_material).
    ///
    /// # Errors
    /// [`tls_core::Misuse::NoEarlyExporter`] where none was, [`tls_core::Misuse::ExporterRange`] as above.
    pub fn export_early_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), tls_core::Error> {
        self.connection.export_early_keying_material(out, label, context)
    }

    /// Replaces our traffic key and asks the peer to do the same (section 4.6.3). The message leaves with the next
    /// write or flush.
    ///
    /// # Errors
    /// TLS 1.2 has no KeyUpdate, and a closed side sends none.
    pub fn request_key_update(&mut self) -> io::Result<()> {
        self.connection
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .map_err(to_io)
    }
}

impl<IO: SplitTransport> TlsStream<IO> {
    /// Two halves that can be moved to different tasks and share no lock.
    pub fn into_split(self) -> (ReadHalf<IO::Read>, WriteHalf<IO::Write>) {
        let info = self.info();
        let (read, write) = self.io.split_transport();
        let (reader, writer) = self.connection.split();
        (
            ReadHalf::new(read, reader, self.sessions, info.clone()),
            WriteHalf::new(write, writer, self.closing, info),
        )
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Sends what is pending, as far as the transport takes it, so that somebody who only reads still gets answers
    /// to KeyUpdates, alerts, and accepted data out.
    fn push_while_reading(&mut self, cx: &mut Context<'_>) {
        let writer = &mut self.connection.writer;
        // A failure here is one of writing: it will be seen there.
        if writer.apply_control().is_err() || writer.pending().is_empty() {
            return;
        }
        let _ = transfer::poll_flush(writer, &mut self.io, cx);
        // The transport may have forgotten who else waits for it.
        if let Some(waker) = self.writing.take()
            && !waker.will_wake(cx.waker())
        {
            waker.wake();
        }
    }

    /// What reading gave rise to is seen to at once: a KeyUpdate's answer or an alert leaves, a session is kept.
    fn after_reading(&mut self, cx: &mut Context<'_>) {
        if let Some(sessions) = &mut self.sessions {
            sessions.poll(&mut self.connection.reader, cx);
        }
        if self.connection.reader.control().is_set() {
            self.push_while_reading(cx);
        }
    }

    /// Remembers who waits for the transport to take bytes.
    fn wait_for_writing<T>(&mut self, cx: &Context<'_>, polled: Poll<T>) -> Poll<T> {
        match (&polled, &mut self.writing) {
            (Poll::Pending, Some(waker)) => waker.clone_from(cx.waker()),
            (Poll::Pending, none) => *none = Some(cx.waker().clone()),
            (Poll::Ready(_), _) => self.writing = None,
        }
        polled
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        this.push_while_reading(cx);
        let read = transfer::poll_read(&mut this.connection.reader, &mut this.io, cx, buf);
        this.after_reading(cx);
        ready!(read)?;
        budget.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for TlsStream<IO> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        this.push_while_reading(cx);
        let lent = transfer::poll_lend(&mut this.connection.reader, &mut this.io, cx);
        this.after_reading(cx);
        let readable = ready!(lent)?;
        budget.made_progress();
        Poll::Ready(Ok(match readable {
            Readable::Data => this.connection.reader.data(),
            Readable::Closed => &[],
        }))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().connection.reader.consume(count);
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = transfer::poll_write(&mut this.connection.writer, &mut this.io, cx, data);
        this.wait_for_writing(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = transfer::poll_flush(&mut this.connection.writer, &mut this.io, cx);
        this.wait_for_writing(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.closing.poll(&mut this.connection.writer, &mut this.io, cx);
        this.wait_for_writing(cx, polled)
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negotiated = self.connection.negotiated();
        f.debug_struct("TlsStream")
            .field("version", &negotiated.version())
            .field("cipher_suite", &negotiated.cipher_suite())
            .finish_non_exhaustive()
    }
}
