//! The end of a connection: close_notify, and how the peer answers it.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use tls_core::Writer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::error::{is_alert, is_reset, to_io};
use crate::stream::TlsStream;
use crate::transfer::poll_push;

/// How long `shutdown` waits for a peer that does not read.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Data that [`TlsStream::graceful_shutdown`] throws away before it gives up on the peer.
const MAX_DISCARDED: u64 = 1024 * 1024;

/// How a connection ended, as [`TlsStream::graceful_shutdown`] saw it. In all cases our close_notify was queued and
/// the transport's write side shut down as far as the peer let us.
///
/// ```
/// use std::time::Duration;
/// use tls_tokio::{Shutdown, TlsStream};
/// use tokio::net::TcpStream;
///
/// /// Whether the peer has certainly got all, and has said so.
/// async fn close(mut stream: TlsStream<TcpStream>) -> bool {
///     match stream.graceful_shutdown(Duration::from_secs(2)).await {
///         Shutdown::Clean => true,
///         Shutdown::PeerStillSending { discarded } => {
///             eprintln!("{discarded} bytes came that nobody wanted");
///             false
///         }
///         other => {
///             eprintln!("{other}");
///             false
///         }
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Shutdown {
    /// Both sides sent close_notify, and nothing was lost.
    Clean,
    /// The peer closed the transport without close_notify, and that is no loss: at a record boundary where
    /// [`EofPolicy::AcceptAtRecordBoundary`](crate::EofPolicy::AcceptAtRecordBoundary) is set, or after
    /// [`TlsStream::mark_complete`].
    WithoutCloseNotify,
    /// The peer sent data that nobody read: so many bytes were thrown away before its close_notify, or before we
    /// gave up on it.
    PeerStillSending {
        /// Bytes of data thrown away.
        discarded: u64,
    },
    /// The peer closed the transport without close_notify.
    Truncated,
    /// The peer did neither close nor send within the limit, or did not read.
    TimedOut,
    /// The peer reset the connection.
    Reset,
    /// The connection failed in another way: by a fatal alert of the peer, or by its bytes.
    Failed(io::Error),
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("both sides sent close_notify"),
            Self::WithoutCloseNotify => {
                f.write_str("the peer closed without close_notify, and nothing was missing")
            }
            Self::PeerStillSending { discarded } => {
                write!(
                    f,
                    "the peer was still sending, {discarded} bytes were thrown away"
                )
            }
            Self::Truncated => f.write_str("the peer closed without close_notify"),
            Self::TimedOut => f.write_str("the peer did not close in time"),
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::Failed(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

/// The write side on its way to being closed.
pub(crate) struct Closing {
    limit: Duration,
    /// Set only where the transport makes us wait.
    timer: Option<Pin<Box<Sleep>>>,
    /// The peer has had its time: nobody waits for it again.
    gave_up: bool,
    /// Why close_notify cannot leave, while the transport is being shut down.
    failed: Option<io::Error>,
    /// The transport's write side was shut down, or its owner wants nothing more to be said.
    over: bool,
}

impl Closing {
    pub(crate) const fn new() -> Self {
        Self {
            limit: DEFAULT_SHUTDOWN_TIMEOUT,
            timer: None,
            gave_up: false,
            failed: None,
            over: false,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.timer = None;
    }

    /// Whether there is nothing left to be said to the peer.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Nothing is to be said to the peer any more.
    pub(crate) fn set_over(&mut self) {
        self.over = true;
    }

    /// Whether close_notify cannot leave, and the transport alone is left to be shut down.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Close_notify cannot leave, for this reason.
    pub(crate) fn set_failed(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    /// Sends close_notify, once, then shuts the transport's write side down. A peer that does not read holds this
    /// up to the limit; then the transport is shut down without what it did not take.
    pub(crate) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut Writer,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gave_up {
            return Poll::Ready(Err(self.timed_out()));
        }
        if let Err(error) = writer.apply_control().and_then(|()| writer.close_notify()) {
            self.give_up(io, cx);
            return Poll::Ready(Err(to_io(error)));
        }
        if let Poll::Ready(closed) = self.poll_transport(writer, io, cx) {
            self.timer = None;
            self.over = true;
            return Poll::Ready(closed);
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        self.give_up(io, cx);
        Poll::Ready(Err(self.failed.take().unwrap_or_else(|| self.timed_out())))
    }

    /// Shuts the transport down without what it did not take. Whether that works does not matter: it is over.
    pub(crate) fn give_up<W: AsyncWrite + Unpin>(&mut self, io: &mut W, cx: &mut Context<'_>) {
        self.timer = None;
        self.gave_up = true;
        self.over = true;
        let _ = Pin::new(io).poll_shutdown(cx);
    }

    fn timed_out(&self) -> io::Error {
        let what = format!("the peer did not take our close_notify within {:?}", self.limit);
        io::Error::new(io::ErrorKind::TimedOut, what)
    }

    fn poll_transport<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut Writer,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // After a fatal alert nothing more is sent (section 6.2).
        if self.failed.is_none() && writer.ended_by_peer().is_none() {
            // Nothing more can be said to a peer whose transport fails, but it is closed all the same.
            self.failed = ready!(poll_push(writer, io, cx)).err();
        }
        let closed = ready!(Pin::new(io).poll_shutdown(cx));
        Poll::Ready(self.failed.take().map_or(closed, Err))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Closes our side as [`tokio::io::AsyncWriteExt::shutdown`] does, reads until the peer has closed its own, and
    /// says how it went. Takes at most `limit`, and throws away at most 1 MiB of data.
    ///
    /// Cancel safe: called again it goes on where it was, with a new limit. After its end it gives the same answer
    /// again, unless that was one of time and the peer has closed since.
    pub async fn graceful_shutdown(&mut self, limit: Duration) -> Shutdown {
        let in_time = timeout(limit, poll_fn(|cx| self.poll_ending(cx))).await;
        if in_time.is_err() && self.ending().written.is_none() {
            poll_fn(|cx| {
                self.out.close_transport(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.verdict()
    }

    fn ending(&mut self) -> &mut Ending {
        self.ending.get_or_insert_default()
    }

    /// Both directions at once: a peer with data to send may not read before it is rid of it.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending().read.is_none()
            && let Poll::Ready(read) = self.poll_discard(cx)
        {
            let ending = self.ending();
            ending.by_alert |= read.as_ref().is_err_and(is_alert);
            ending.read = Some(read);
        }
        if self.ending().written.is_none()
            && let Poll::Ready(written) = Pin::new(&mut *self).poll_shutdown(cx)
        {
            let ending = self.ending();
            ending.by_alert |= written.as_ref().is_err_and(is_alert);
            ending.written = Some(written);
        }
        match self.ending() {
            Ending {
                written: Some(Err(_)),
                ..
            }
            | Ending {
                written: Some(_),
                read: Some(_),
                ..
            } => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut discard = [0; 1024];
        while self.ending().discarded < MAX_DISCARDED {
            let mut buf = ReadBuf::new(&mut discard);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 => break,
                count => self.ending().discarded += count as u64,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What the two directions came to.
    fn verdict(&mut self) -> Shutdown {
        let (was_reset, said_goodbye) = (self.is_broken(), self.is_closed_by_peer());
        let ending = self.ending();
        let discarded = ending.discarded;
        let silent = if discarded > 0 {
            Shutdown::PeerStillSending { discarded }
        } else if was_reset {
            Shutdown::Reset
        } else {
            Shutdown::TimedOut
        };
        match (&mut ending.written, &mut ending.read) {
            // The peer says why: that explains all else.
            (_, Some(Err(error))) | (Some(Err(error)), _) if ending.by_alert => {
                Shutdown::Failed(repeat(error))
            }
            (Some(Err(error)), _) => failed(error),
            (None, _) | (_, None) => silent,
            (_, Some(Err(error))) => failed(error),
            (_, Some(Ok(()))) if discarded > 0 => Shutdown::PeerStillSending { discarded },
            (_, Some(Ok(()))) if said_goodbye => Shutdown::Clean,
            (_, Some(Ok(()))) => Shutdown::WithoutCloseNotify,
        }
    }
}

fn failed(error: &mut io::Error) -> Shutdown {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Shutdown::Truncated,
        io::ErrorKind::TimedOut => Shutdown::TimedOut,
        _ if is_reset(error) => Shutdown::Reset,
        _ => Shutdown::Failed(repeat(error)),
    }
}

/// The error, which leaves one behind that says the same.
fn repeat(error: &mut io::Error) -> io::Error {
    let again = io::Error::new(error.kind(), error.to_string());
    core::mem::replace(error, again)
}

/// How far a graceful shutdown has come.
#[derive(Default)]
pub(crate) struct Ending {
    /// How our close_notify and the shutdown of the transport's write side went.
    written: Option<io::Result<()>>,
    /// How reading ended.
    read: Option<io::Result<()>>,
    /// It ended by a fatal alert of the peer.
    by_alert: bool,
    discarded: u64,
}
