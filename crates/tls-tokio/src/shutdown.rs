//! The end of a connection: close_notify, and how the peer answers it.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use tls_core::Writer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::error::to_io;
use crate::stream::TlsStream;
use crate::transfer::poll_push;

/// How long `shutdown` waits for a peer that does not read.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Data that [`TlsStream::graceful_shutdown`] throws away before it gives up on the peer.
const MAX_DISCARDED: u64 = 1024 * 1024;

/// How a connection ended, as [`TlsStream::graceful_shutdown`] saw it. In all cases our close_notify was queued and
/// the transport's write side shut down as far as the peer let us.
#[derive(Debug)]
#[non_exhaustive]
pub enum Shutdown {
    /// Both sides sent close_notify, and nothing was lost.
    Clean,
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
    /// The connection failed in another way.
    Failed(io::Error),
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
}

impl Closing {
    pub(crate) const fn new() -> Self {
        Self {
            limit: DEFAULT_SHUTDOWN_TIMEOUT,
            timer: None,
            gave_up: false,
            failed: None,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.timer = None;
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
        writer.apply_control().map_err(to_io)?;
        writer.close_notify().map_err(to_io)?;
        if let Poll::Ready(closed) = self.poll_transport(writer, io, cx) {
            self.timer = None;
            return Poll::Ready(closed);
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        self.give_up(io, cx);
        Poll::Ready(Err(self.failed.take().unwrap_or_else(|| self.timed_out())))
    }

    /// Shuts the transport down without what it did not take. Whether that works does not matter: it is over.
    fn give_up<W: AsyncWrite + Unpin>(&mut self, io: &mut W, cx: &mut Context<'_>) {
        self.timer = None;
        self.gave_up = true;
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
        if self.failed.is_none() {
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
    /// Cancel safe: called again it goes on where it was, with a new limit.
    pub async fn graceful_shutdown(&mut self, limit: Duration) -> Shutdown {
        let mut ending = Ending::default();
        let end = timeout(limit, poll_fn(|cx| self.poll_end(cx, &mut ending))).await;
        let discarded = ending.discarded;
        match end {
            Ok(Ok(())) if discarded == 0 => Shutdown::Clean,
            Ok(Ok(())) => Shutdown::PeerStillSending { discarded },
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Shutdown::Truncated,
                io::ErrorKind::TimedOut => Shutdown::TimedOut,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Shutdown::Reset,
                _ => Shutdown::Failed(error),
            },
            Err(_) => {
                if !ending.closed {
                    poll_fn(|cx| {
                        self.closing.give_up(&mut self.io, cx);
                        Poll::Ready(())
                    })
                    .await;
                }
                match discarded {
                    0 => Shutdown::TimedOut,
                    _ => Shutdown::PeerStillSending { discarded },
                }
            }
        }
    }

    /// Both directions at once: a peer with data to send may not read before it is rid of it.
    fn poll_end(&mut self, cx: &mut Context<'_>, ending: &mut Ending) -> Poll<io::Result<()>> {
        if ending.read.is_none()
            && let Poll::Ready(read) = self.poll_discard(cx, &mut ending.discarded)
        {
            ending.read = Some(read);
        }
        if !ending.closed {
            ready!(Pin::new(&mut *self).poll_shutdown(cx))?;
            ending.closed = true;
        }
        ending.read.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>, discarded: &mut u64) -> Poll<io::Result<()>> {
        let mut discard = [0; 1024];
        while *discarded < MAX_DISCARDED {
            let mut buf = ReadBuf::new(&mut discard);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 => break,
                count => *discarded += count as u64,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How far a graceful shutdown has come.
#[derive(Default)]
struct Ending {
    /// Our close_notify was sent and the transport's write side shut down.
    closed: bool,
    /// How reading ended.
    read: Option<io::Result<()>>,
    discarded: u64,
}
