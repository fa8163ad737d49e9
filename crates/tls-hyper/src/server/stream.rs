//! A server's stream in the hands of a library that knows nothing of drains.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};

use tls_tokio::{Accepted, StreamGuard, TlsInfo, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::info::TlsConnectInfo;

/// How long a stream that was closed waits for the client to close too, so that what was sent arrives: bytes that meet a
/// closed socket are answered with a reset, which destroys what the client has not read.
const LINGER: Duration = Duration::from_secs(2);

/// For how long a client may take nothing of what it is sent, unless set otherwise.
pub(super) const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// An accepted stream together with its [`StreamGuard`], for whoever takes a stream and serves it: hyper, axum, tonic, and
/// what an upgrade leads to. It counts as open until it is dropped, and when the time of a drain is over, what waits for
/// it gets an error of kind [`io::ErrorKind::ConnectionAborted`].
///
/// A write that waits 30 seconds for the client to take anything fails with an error of kind
/// [`io::ErrorKind::TimedOut`]: [`Self::set_write_timeout`].
///
/// If it was shut down and is dropped before the client has closed, a task waits for that, 2 seconds at most.
///
/// ```
/// use tls_hyper::{ServedStream, TlsListener};
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpListener;
///
/// async fn greet(mut listener: TlsListener<TcpListener>) {
///     while let Some(accepted) = listener.accept().await {
///         let mut stream = ServedStream::new(accepted);
///         tokio::spawn(async move {
///             stream.write_all(b"hello\n").await?;
///             stream.shutdown().await
///         });
///     }
/// }
/// ```
pub struct ServedStream<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A = std::net::SocketAddr> {
    /// `None` once it lingers.
    open: Option<(TlsStream<IO>, StreamGuard)>,
    client: TlsConnectInfo<A>,
    force: CancellationToken,
    reading: Cut,
    writing: Cut,
    write_timeout: Option<Duration>,
    stall: Stall,
    opening: Option<Opening>,
    is_shut: bool,
    has_ended: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A> ServedStream<IO, A> {
    /// Of what a listener has accepted.
    #[must_use]
    pub fn new(accepted: Accepted<TlsStream<IO>, A>) -> Self {
        let Accepted {
            stream,
            address,
            guard,
            ..
        } = accepted;
        Self {
            client: TlsConnectInfo::new(stream.info(), address),
            // A node of its own: the listener's is locked by nobody but who cancels it.
            force: guard.forced().child_token(),
            open: Some((stream, guard)),
            reading: Cut::default(),
            writing: Cut::default(),
            write_timeout: Some(DEFAULT_WRITE_TIMEOUT),
            stall: Stall::default(),
            opening: None,
            is_shut: false,
            has_ended: false,
        }
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &TlsInfo {
        &self.client.tls
    }

    /// Whose stream it is.
    #[must_use]
    pub const fn client(&self) -> &TlsConnectInfo<A> {
        &self.client
    }

    /// For how long the client may take nothing of what it is sent; `None` for ever. Default: 30 seconds.
    pub const fn set_write_timeout(&mut self, limit: Option<Duration>) {
        self.write_timeout = limit;
    }

    /// Reading fails if the client has not sent so much by the time that this is ready.
    pub(super) fn expect_soon(&mut self, bytes: usize, limit: impl Future<Output = ()> + Send + 'static) {
        self.opening = Some(Opening {
            missing: bytes,
            limit: Box::pin(limit),
        });
    }

    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(Pin<&mut TlsStream<IO>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = match &mut self.open {
            Some((stream, _)) => step(Pin::new(stream), cx),
            None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        match polled {
            Poll::Pending => match self.writing.poll(&self.force, cx) {
                Poll::Pending => self.stall.poll(self.write_timeout, cx),
                cut => cut,
            },
            ready => {
                self.stall.is_on = false;
                ready
            }
        }
    }
}

/// The time since which nothing could be written.
#[derive(Default)]
struct Stall {
    timer: Option<Pin<Box<Sleep>>>,
    is_on: bool,
}

impl Stall {
    /// An error once it has been so long; asked only by what has to wait.
    fn poll<T>(&mut self, limit: Option<Duration>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(limit) = limit else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.is_on {
            self.is_on = true;
            timer.as_mut().set(sleep(limit));
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(timed_out("the client takes nothing")))
    }
}

/// What a client has to send first, and until when.
struct Opening {
    missing: usize,
    limit: Pin<Box<dyn Future<Output = ()> + Send>>,
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// The end by force, as one of the two directions waits for it.
#[derive(Default)]
struct Cut(Option<Pin<Box<WaitForCancellationFutureOwned>>>);

impl Cut {
    /// An error once the time is over; asked only by what has to wait.
    fn poll<T>(&mut self, force: &CancellationToken, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let forced = self
            .0
            .get_or_insert_with(|| Box::pin(force.clone().cancelled_owned()));
        forced.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server stops",
            ))
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A: Unpin> AsyncRead for ServedStream<IO, A> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.remaining();
        let polled = match &mut this.open {
            Some((stream, _)) => Pin::new(stream).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        };
        match polled {
            Poll::Pending => {
                if let Some(opening) = &mut this.opening
                    && opening.limit.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Err(timed_out("the client does not begin")));
                }
                this.reading.poll(&this.force, cx)
            }
            Poll::Ready(read) => {
                let count = before.saturating_sub(buf.remaining());
                this.opening.take_if(|opening| {
                    opening.missing = opening.missing.saturating_sub(count);
                    opening.missing == 0
                });
                this.has_ended |= read.is_err() || before > 0 && buf.remaining() == before;
                Poll::Ready(read)
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A: Unpin> AsyncWrite for ServedStream<IO, A> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_out(cx, |stream, cx| stream.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_out(cx, |stream, cx| stream.poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_out(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_out(cx, |stream, cx| stream.poll_shutdown(cx));
        this.is_shut |= matches!(polled, Poll::Ready(Ok(())));
        polled
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A> Drop for ServedStream<IO, A> {
    fn drop(&mut self) {
        if !self.is_shut || self.has_ended || std::thread::panicking() || self.force.is_cancelled() {
            return;
        }
        if let Some((mut stream, guard)) = self.open.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(guard.run(async move {
                // However it ends, there is nobody left to be told.
                let _ = stream.graceful_shutdown(LINGER).await;
            }));
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static, A: fmt::Debug> fmt::Debug for ServedStream<IO, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedStream")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_an_error_after_its_time_and_progress_begins_it_anew() {
        const LIMIT: Duration = Duration::from_secs(10);
        let mut cx = Context::from_waker(core::task::Waker::noop());
        let mut stall = Stall::default();
        for _ in 0..3 {
            assert!(stall.poll::<()>(Some(LIMIT), &mut cx).is_pending());
            advance(LIMIT - Duration::from_secs(1)).await;
            assert!(stall.poll::<()>(Some(LIMIT), &mut cx).is_pending());
            stall.is_on = false;
        }
        assert!(stall.poll::<()>(Some(LIMIT), &mut cx).is_pending());
        advance(LIMIT).await;
        let Poll::Ready(Err(error)) = stall.poll::<()>(Some(LIMIT), &mut cx) else {
            panic!("it stalls for ever");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(stall.poll::<()>(None, &mut cx).is_pending());
    }
}
