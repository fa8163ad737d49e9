//! A server's stream before its handshake is over.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io;

use tls_core::{EarlyConnection, HandshakeType, Negotiated, Phase, ReadEvent, Side};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

use crate::error::{HandshakeFailure, to_io};
use crate::handshake::Attempt;
use crate::stream::TlsStream;

/// A server's stream whose handshake waits for the client's Finished:
/// [`TlsAcceptor::accept_early`](crate::TlsAcceptor::accept_early) gives it, [`Self::finish`] makes a [`TlsStream`] of
/// it.
///
/// **Reading** gives early data (0-RTT, section 2.3), to its end; at once the end where none was accepted. It may be a
/// replay: somebody may have recorded it and sent it again. Act on it only where doing so twice does no harm, and tell
/// whatever acts on it that it is early (RFC 8470 for HTTP). Early data that was not read here comes first when the
/// finished stream is read; then it is no replay.
///
/// **Writing** goes to whoever has the session's secret (0.5-RTT), or to anybody where no session was resumed.
///
/// All of it is under the deadline of the handshake; reads and writes after that fail with
/// [`io::ErrorKind::TimedOut`]. What the client does wrong is final, and [`Self::finish`] returns it again: call it also
/// after an error, since it sees to it that the alert arrives. Shutting it down is no more than a flush: finish the
/// handshake first. Dropping it drops the transport, without a goodbye, since there is no connection yet.
///
/// Reads, writes and flushes can be dropped at any await and called again; nothing is lost or sent twice.
///
/// ```no_run
/// # use tls_tokio::TlsAcceptor;
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
/// # async fn example(acceptor: TlsAcceptor, tcp: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// let mut early = acceptor.accept_early(tcp).await?;
/// let mut request = [0; 18];
/// if early.read_exact(&mut request).await.is_ok() && &request == b"GET / HTTP/1.0\r\n\r\n" {
///     early.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await?;
///     early.flush().await?;
/// }
/// // Also after an error: it is reported here again, and to the client.
/// let mut tls = early.finish().await?;
/// tls.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it closes the connection before its handshake is over"]
pub struct EarlyTlsStream<IO> {
    io: IO,
    early: EarlyConnection,
    attempt: Attempt,
    /// One for each direction, since each may have a task of its own that waits.
    reading_until: Deadline,
    writing_until: Deadline,
    /// Who waits for the transport to take bytes. Reading sends pending bytes too, and the transport then knows the
    /// reader's waker only.
    writing: Option<Waker>,
}

/// When the handshake must be over, if ever.
type Deadline = Option<Pin<Box<Sleep>>>;

impl<IO> EarlyTlsStream<IO> {
    pub(crate) fn new(io: IO, early: EarlyConnection, attempt: Attempt) -> Self {
        let deadline = || attempt.deadline().map(|deadline| Box::pin(sleep_until(deadline)));
        Self {
            io,
            early,
            reading_until: deadline(),
            writing_until: deadline(),
            attempt,
            writing: None,
        }
    }

    /// What the handshake agreed on so far. [`Negotiated::early_data`] says whether there is early data to read. A client
    /// certificate in it is that of the session; that it is this client who is here is only certain after [`Self::finish`].
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        self.early.negotiated()
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Makes bytes that the client can compute too, from the secret of the early data (section 7.5): see
    /// [`EarlyConnection::export_early_keying_material`].
    ///
    /// # Errors
    /// [`tls_core::Misuse::NoEarlyExporter`] where no early data was accepted, [`tls_core::Misuse::ExporterRange`] for
    /// a label over 249 bytes, or more output than 255 hashes.
    pub fn export_early_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), tls_core::Error> {
        self.early.export_early_keying_material(out, label, context)
    }

    fn timed_out(&self) -> io::Error {
        let phase = Phase::Reading(HandshakeType::END_OF_EARLY_DATA);
        let (bytes_in, bytes_out) = (self.early.bytes_in(), self.early.bytes_out());
        let timeout = self.attempt.timeout(Side::Server, phase, bytes_in, bytes_out);
        timeout.into()
    }
}

/// Whether the deadline has passed; if not, the task is woken when it does.
fn has_passed(deadline: &mut Deadline, cx: &mut Context<'_>) -> bool {
    match deadline {
        Some(deadline) => deadline.as_mut().poll(cx).is_ready(),
        None => false,
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> EarlyTlsStream<IO> {
    /// Waits for the client's Finished, within what is left of the handshake's time.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// The handshake failed or took too long. The alert was sent, and the failure carries the stream.
    pub async fn finish(self) -> Result<TlsStream<IO>, HandshakeFailure<IO>> {
        let Self {
            mut io,
            early,
            mut attempt,
            ..
        } = self;
        match attempt.run(&mut io, |link| early.resume(link)).await {
            Ok(connection) => Ok(TlsStream::new(io, connection, attempt, None)),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> EarlyTlsStream<IO> {
    /// Writes all that is pending.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.early.pending().is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.early.pending()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.early.sent(count);
                    if let Some(watch) = self.attempt.watch() {
                        watch.moved(0, count);
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is pending beside a read: our flight may still be under way. A failure here is one of writing, and will
    /// be seen there.
    fn push_while_reading(&mut self, cx: &mut Context<'_>) {
        if self.early.pending().is_empty() {
            return;
        }
        let _ = self.poll_push(cx);
        if let Some(waker) = self.writing.take()
            && !waker.will_wake(cx.waker())
        {
            waker.wake();
        }
    }

    fn poll_write_or_deadline(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if has_passed(&mut self.writing_until, cx) {
            return Poll::Ready(Err(self.timed_out()));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let accepted = self.early.write(data).map_err(to_io)?;
            if let Some(watch) = self.attempt.watch() {
                watch.moved_early(0, accepted);
            }
            let pushed = self.poll_push(cx)?;
            if accepted > 0 {
                // What is still pending is ours now, and goes with the next write, flush or read.
                return Poll::Ready(Ok(accepted));
            }
            ready!(pushed);
        }
    }

    fn poll_flush_or_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if has_passed(&mut self.writing_until, cx) {
            return Poll::Ready(Err(self.timed_out()));
        }
        ready!(self.poll_push(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Remembers who waits for the transport to take bytes.
    fn wait_for_writing<T>(&mut self, cx: &Context<'_>, polled: Poll<T>) -> Poll<T> {
        self.writing = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    /// Reads from the transport once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = ReadBuf::new(self.early.space());
        let read = Pin::new(&mut self.io).poll_read(cx, &mut space);
        let count = space.filled().len();
        if let Some(watch) = self.attempt.watch() {
            watch.moved(count, 0);
        }
        match read {
            Poll::Ready(Ok(())) if count == 0 => self.early.eof(),
            Poll::Ready(Ok(())) => self.early.filled(count),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                self.early.release_if_idle();
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for EarlyTlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let budget = ready!(coop::poll_proceed(cx));
        if has_passed(&mut this.reading_until, cx) {
            return Poll::Ready(Err(this.timed_out()));
        }
        this.push_while_reading(cx);
        loop {
            match this.early.process() {
                Ok(ReadEvent::Data) => {
                    let data = this.early.data();
                    let count = data.len().min(buf.remaining());
                    buf.put_slice(data.get(..count).unwrap_or_default());
                    this.early.consume(count);
                    if let Some(watch) = this.attempt.watch() {
                        watch.moved_early(count, 0);
                    }
                    break;
                }
                Ok(ReadEvent::Closed) => break,
                Ok(_) => ready!(this.poll_fill(cx))?,
                Err(error) => {
                    // The alert.
                    this.push_while_reading(cx);
                    return Poll::Ready(Err(to_io(error)));
                }
            }
        }
        budget.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EarlyTlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.poll_write_or_deadline(cx, data);
        this.wait_for_writing(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_flush_or_deadline(cx);
        this.wait_for_writing(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl<IO> fmt::Debug for EarlyTlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyTlsStream")
            .field("negotiated", self.negotiated())
            .finish_non_exhaustive()
    }
}
