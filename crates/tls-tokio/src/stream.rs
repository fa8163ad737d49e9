//! An established connection as a Tokio stream.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;

use tls_core::{Connection, ConnectionFacts, KeyUpdateRequest, ProtocolVersion, ReadEvent, Reader, Side};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::error::{is_reset, to_io};
use crate::handshake::Attempt;
use crate::info::TlsInfo;
use crate::outgoing::{Outgoing, Parts};
use crate::reset::Broken;
use crate::session_keeper::SessionKeeper;
use crate::shutdown::{Closing, Ending};
use crate::split::{ReadHalf, ReadRest, ReuniteError, SplitTransport, WriteHalf};
use crate::transfer::{self, Ends, EofPolicy, Readable};

/// An established TLS connection on a transport.
///
/// **Reading.** End of file means that the peer sent close_notify. A transport that ends without one is an error of
/// kind [`io::ErrorKind::UnexpectedEof`], after all data that came before it: somebody may have cut the data short.
/// [`Self::set_eof_policy`] and [`Self::mark_complete`] are for protocols that know better. [`AsyncBufRead`] lends
/// decrypted data without copying it.
///
/// **Writing.** Data is sealed and sent at once, as far as the transport takes it; up to 66 KiB that it does not take
/// wait here. [`flush`](tokio::io::AsyncWriteExt::flush) waits until the transport has taken all.
///
/// **Closing.** [`shutdown`](tokio::io::AsyncWriteExt::shutdown) sends close_notify and shuts the transport's write
/// side down, within 5 seconds even if the peer does not read; reading goes on, and in TLS 1.3 so may the peer's
/// writing. [`Self::graceful_shutdown`] waits for the peer's close_notify too.
///
/// **Dropping** drops the transport. A stream that was not shut down sends what it still holds and close_notify first, as
/// far as the transport takes that without waiting, and says so by a tracing event. This is no substitute for shutting
/// down: what is lost nobody learns of, and where the end of file ends a message, as in HTTP/1.0, a stream that is
/// dropped in the middle of one makes it look complete: use [`Self::abort`] there. A panic sends nothing.
///
/// **Failing.** The alert by which the peer ended the connection is reported by reads and writes alike, as
/// [`io::ErrorKind::ConnectionAborted`] around a [`tls_core::Error`]. A write that fails because the peer has reset the
/// connection looks for such an alert first: that is how a client of TLS 1.3 learns that its certificate was refused
/// (or before it sends anything, by [`Self::confirmed`]). A write that waits notices it too, unless there is data to be
/// read before it.
///
/// **Cancelling.** Reads, writes, flushes and shutdowns can be dropped at any await and called again; nothing is lost or
/// sent twice (of Tokio's own combinations of them, `write_all` and `read_exact` do not say how far they came).
///
/// Both directions can be used at the same time, by [`Self::into_split`] or [`tokio::io::split`].
///
/// ```
/// use tls_tokio::{CertifiedKey, ClientConfig, RootStore, ServerConfig, ServerName, TlsAcceptor, TlsConnector};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let server = ServerConfig::builder().certificate(CertifiedKey::from_pem(chain.as_bytes(), key.as_bytes())?);
/// # let acceptor = TlsAcceptor::new(server.build()?);
/// # let client = ClientConfig::builder().roots(RootStore::from_pem(chain.as_bytes())?).build()?;
/// # let connector = TlsConnector::new(client);
/// # let name = ServerName::try_from("localhost")?;
/// // Any transport: here a pipe in memory.
/// let (ours, theirs) = tokio::io::duplex(64 * 1024);
/// let (client, server) = tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
/// let (mut client, mut server) = (client?, server?);
///
/// client.write_all(b"all of it").await?;
/// client.shutdown().await?;
/// let mut received = Vec::new();
/// // To the end of file: the client has closed in order.
/// server.read_to_end(&mut received).await?;
/// assert_eq!(received, b"all of it");
/// # Ok(()) }
/// ```
pub struct TlsStream<IO> {
    pub(crate) out: Outgoing<IO>,
    pub(crate) reader: Reader,
    facts: ConnectionFacts,
    handshake_time: Duration,
    sessions: Option<Box<SessionKeeper>>,
    ends: Ends,
    /// Who waits for the transport to take bytes. Reading sends pending bytes too, and the transport then knows the
    /// reader's waker only.
    writing: Option<Waker>,
    /// Who waits for the transport to have bytes. Writing looks for alerts, but only if nobody else does.
    pub(crate) reading: Option<Waker>,
    /// The transport refused a write. In a box, since it seldom does.
    pub(crate) broken: Option<Box<Broken>>,
    /// How far a graceful shutdown has come.
    pub(crate) ending: Option<Box<Ending>>,
}

impl<IO: AsyncWrite + Unpin> TlsStream<IO> {
    pub(crate) fn new(
        io: IO,
        connection: Connection,
        attempt: Attempt,
        sessions: Option<Box<SessionKeeper>>,
    ) -> Self {
        let (reader, writer, facts) = connection.into_parts();
        let handshake_time = attempt.elapsed();
        let watch = attempt.established(facts.negotiated(), handshake_time);
        Self {
            out: Outgoing::new(io, writer, Closing::new(), watch),
            reader,
            facts,
            handshake_time,
            sessions,
            ends: Ends::default(),
            writing: None,
            reading: None,
            broken: None,
            ending: None,
        }
    }
}

impl<IO> TlsStream<IO> {
    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> TlsInfo {
        TlsInfo::new(Arc::clone(self.facts.negotiated()), self.handshake_time)
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &IO {
        &self.out.io
    }

    /// How long `shutdown` waits for a peer that does not read. Default: 5 seconds.
    pub fn set_shutdown_timeout(&mut self, limit: Duration) {
        self.out.closing.set_limit(limit);
    }

    /// Whether a transport that ends without close_notify may be the end of the data. Default: it may not.
    pub fn set_eof_policy(&mut self, policy: EofPolicy) {
        self.ends.policy = policy;
    }

    /// Says that the protocol has received all that it waits for, as when the last byte of an HTTP body of known length
    /// was read. From now on a transport that ends without close_notify, wherever it does, is an end of file to reads,
    /// and [`Shutdown::WithoutCloseNotify`](crate::Shutdown::WithoutCloseNotify) to [`Self::graceful_shutdown`]. A reset
    /// is still an error: it may have cost the peer what we sent.
    pub fn mark_complete(&mut self) {
        self.ends.complete = true;
    }

    /// Drops the stream and with it the transport, without saying goodbye: the peer sees that the connection was cut.
    pub fn abort(mut self) {
        self.out.abort();
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
        self.facts.export_keying_material(out, label, context)
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
        self.facts.export_early_keying_material(out, label, context)
    }

    /// Replaces our traffic key and asks the peer to do the same (section 4.6.3). The message leaves with the next
    /// write or flush.
    ///
    /// # Errors
    /// TLS 1.2 has no KeyUpdate, and a closed side sends none.
    pub fn request_key_update(&mut self) -> io::Result<()> {
        self.out
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .map_err(to_io)
    }

    /// So much early data was sent with the handshake, and accepted.
    pub(crate) fn wrote_early(&self, count: usize) {
        if let Some(watch) = &self.out.watch {
            watch.accepted(count);
        }
    }

    /// Whether the transport refused a write.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether the peer's close_notify came, and not only an end that is taken for one.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        matches!(self.reader.process(), Ok(ReadEvent::Closed))
    }
}

impl<IO: SplitTransport> TlsStream<IO> {
    /// Two halves that can be moved to different tasks and share no lock where data is moved.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf<IO::Read>, WriteHalf<IO::Write>) {
        let info = self.info();
        let Parts {
            io,
            writer,
            closing,
            watch,
            ..
        } = self.out.dismantle();
        let (read, write) = io.split_transport();
        (
            ReadHalf::new(
                read,
                ReadRest {
                    reader: self.reader,
                    facts: self.facts,
                    ends: self.ends,
                    sessions: self.sessions,
                    info: info.clone(),
                    watch: watch.clone(),
                },
            ),
            WriteHalf::new(Outgoing::new(write, writer, closing, watch), self.broken, info),
        )
    }
}

impl<IO: SplitTransport + AsyncWrite + Unpin> TlsStream<IO> {
    /// Puts the halves of a stream together again.
    ///
    /// # Errors
    /// These are halves of two streams, or their transport cannot be put together: they come back in the error.
    #[expect(clippy::result_large_err, reason = "it is what the caller gave, and seldom")]
    pub fn reunite(
        read: ReadHalf<IO::Read>,
        write: WriteHalf<IO::Write>,
    ) -> Result<Self, ReuniteError<IO::Read, IO::Write>> {
        if !read.is_of(&write) {
            return Err(ReuniteError { read, write });
        }
        let (read_io, read) = read.into_parts();
        let (write_io, write) = write.into_parts();
        match IO::reunite_transport(read_io, write_io) {
            Ok(io) => Ok(Self {
                out: Outgoing::new(io, write.writer, write.closing, write.watch),
                reader: read.reader,
                facts: read.facts,
                handshake_time: read.info.handshake_time(),
                sessions: read.sessions,
                ends: read.ends,
                writing: None,
                reading: None,
                broken: write.broken,
                ending: None,
            }),
            Err((read_io, write_io)) => Err(ReuniteError {
                read: read.with(read_io),
                write: write.with(write_io),
            }),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Waits for the first sign of the server after the handshake, a ticket or data, so that a client learns before it
    /// says anything whether the server takes its certificate: in TLS 1.3 the client's handshake is over before the
    /// server has seen it. Data that comes is kept for reading. Returns at once in TLS 1.2, and on a server, whose
    /// handshakes end with the client's last message.
    ///
    /// It waits as long as the server is silent. Servers send tickets at once, unless told not to, but only to clients
    /// that can use them: configure a
    /// [`session_cache`](tls_core::ClientConfigBuilder::session_cache). Without one, or with a server without tickets,
    /// the first sign is the server's first data. So put it under a limit of your own, and go on when that passes.
    ///
    /// A server that writes data before the client's last message (0.5-RTT) gives a sign that proves nothing; servers
    /// that ask for certificates do not.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// The server's alert, of kind [`io::ErrorKind::ConnectionAborted`] around a [`tls_core::Error`]; else as reading.
    pub async fn confirmed(&mut self) -> io::Result<()> {
        if self.reader.side() == Side::Server || self.facts.negotiated().version() == ProtocolVersion::TLS12 {
            return Ok(());
        }
        poll_fn(|cx| {
            self.push_while_reading(cx);
            let heard = self.poll_heard(cx);
            self.after_reading(cx, &heard);
            let heard = self.wait_for_reading(cx, heard);
            if let Some(watch) = &self.out.watch {
                watch.flushed(&heard);
            }
            heard
        })
        .await
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.reader.process().map_err(to_io)?;
            if self.reader.has_heard() {
                return Poll::Ready(Ok(()));
            }
            ready!(transfer::poll_fill(&mut self.reader, &mut self.out.io, cx))?;
        }
    }

    /// Sends what is pending, as far as the transport takes it, so that somebody who only reads still gets answers
    /// to KeyUpdates, alerts, and accepted data out.
    fn push_while_reading(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_some() {
            // Nothing goes any more, and whoever writes knows: two tasks would only wake each other.
            return;
        }
        let out = &mut *self.out;
        // A failure here is one of writing: it will be seen there.
        if out.writer.apply_control().is_err() || out.writer.pending().is_empty() {
            return;
        }
        let _ = out.poll_flush(cx);
        self.wake_writer(cx);
    }

    /// The transport may have forgotten who else waits for it, or there may be news.
    fn wake_writer(&mut self, cx: &Context<'_>) {
        if let Some(waker) = self.writing.take()
            && !waker.will_wake(cx.waker())
        {
            waker.wake();
        }
    }

    /// What reading gave rise to is seen to at once: a KeyUpdate's answer or an alert leaves, a session is kept.
    fn after_reading<T>(&mut self, cx: &mut Context<'_>, read: &Poll<T>) {
        if let Some(sessions) = &mut self.sessions {
            sessions.poll(&mut self.reader, cx);
        }
        if self.broken.is_some() {
            // Who writes may wait for what was read, and only for that.
            if read.is_ready() {
                self.wake_writer(cx);
            }
        } else if self.reader.control().is_set() {
            self.push_while_reading(cx);
            self.wake_writer(cx);
        }
    }

    /// Remembers who waits for the transport to have bytes.
    fn wait_for_reading<T>(&mut self, cx: &Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        remember(&mut self.reading, cx, &polled);
        match polled {
            // Once it has said that it was reset, the transport only says that it has ended.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Err(self
                .broken
                .as_ref()
                .map_or(error, |broken| broken.kind().into()))),
            polled => polled,
        }
    }

    /// One step of writing. One that waits looks for an alert meanwhile, one that fails by a reset before it says so.
    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl Fn(&mut Parts<IO>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut polled = self.poll_step(cx, &step);
        if polled.is_pending() && self.broken.is_none() && self.has_ended_meanwhile(cx) {
            polled = self.poll_step(cx, &step);
        }
        remember(&mut self.writing, cx, &polled);
        polled
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.out.closing.has_failed() {
            match self.poll_out(cx, Parts::poll_shutdown) {
                // Nothing more can be said, but the transport is shut down all the same.
                Poll::Ready(Err(error)) if !self.out.closing.is_over() => self.out.closing.set_failed(error),
                polled => return polled,
            }
        }
        let polled = self.out.poll_shutdown(cx);
        remember(&mut self.writing, cx, &polled);
        polled
    }

    fn poll_step<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl Fn(&mut Parts<IO>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.broken.is_none() {
            match step(&mut self.out, cx) {
                Poll::Ready(Err(error)) if is_reset(&error) => {
                    self.broken = Some(Box::new(Broken::new(error)));
                }
                polled => return polled,
            }
        }
        self.poll_broken(cx)
    }
}

/// Keeps the waker of whoever has to wait.
fn remember<T>(slot: &mut Option<Waker>, cx: &Context<'_>, polled: &Poll<T>) {
    match (polled, slot) {
        (Poll::Pending, Some(waker)) => waker.clone_from(cx.waker()),
        (Poll::Pending, none) => *none = Some(cx.waker().clone()),
        (Poll::Ready(_), slot) => *slot = None,
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
        let before = buf.filled().len();
        let read = transfer::poll_read(&mut this.reader, &mut this.out.io, this.ends, cx, buf);
        this.after_reading(cx, &read);
        let read = this.wait_for_reading(cx, read);
        if let Some(watch) = &this.out.watch {
            watch.read(buf.filled().len().saturating_sub(before), &read, &mut this.reader);
        }
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
        let lent = transfer::poll_lend(&mut this.reader, &mut this.out.io, this.ends, cx);
        this.after_reading(cx, &lent);
        let lent = this.wait_for_reading(cx, lent);
        if let Some(watch) = &this.out.watch {
            watch.read(0, &lent, &mut this.reader);
        }
        let readable = ready!(lent)?;
        budget.made_progress();
        Poll::Ready(Ok(match readable {
            Readable::Data => this.reader.data(),
            Readable::Closed => &[],
        }))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        let this = self.get_mut();
        if let Some(watch) = &this.out.watch {
            watch.consumed(count.min(this.reader.data().len()));
        }
        this.reader.consume(count);
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

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negotiated = self.facts.negotiated();
        f.debug_struct("TlsStream")
            .field("version", &negotiated.version())
            .field("cipher_suite", &negotiated.cipher_suite())
            .finish_non_exhaustive()
    }
}
