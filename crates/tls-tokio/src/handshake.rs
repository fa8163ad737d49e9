//! One handshake on a Tokio stream: under one deadline, and ended so that the peer learns why it failed.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;

use tls_core::{
    ClientConfig, Connection, EarlyConnection, ErrorKind, Link, Peer, Phase, ServerConfig, ServerName, Side,
    Unfinished, accept, accept_early, connect_early,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, HandshakeFailure, HandshakeTimeout};
use crate::link::IoLink;

/// How long a handshake may take unless the caller says otherwise: hooks and the closing alert included.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failure the peer gets this long to close its side, so that unread input does not turn our alert into a
/// reset; the handshake's deadline cuts it shorter.
const LINGER: Duration = Duration::from_secs(1);

/// At most this much input is read and thrown away meanwhile.
const LINGER_BYTES: usize = 256 * 1024;

/// A handshake, or a part of one. Those that are large are lent: what is given away is stored once more by each layer
/// that it goes through.
pub(crate) trait Handshake {
    /// What there is at its end.
    type Output;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error>;
}

/// A client's; with the number of bytes of early data that the server has accepted.
pub(crate) struct Connect<'a> {
    pub(crate) config: &'a ClientConfig,
    pub(crate) server_name: &'a ServerName<'static>,
    pub(crate) early_data: &'a [u8],
}

impl Handshake for &Connect<'_> {
    type Output = (Connection, usize);

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        connect_early(peer, self.config, self.server_name, self.early_data).await
    }
}

/// A server's.
pub(crate) struct Accept<'a>(pub(crate) &'a ServerConfig);

impl Handshake for Accept<'_> {
    type Output = Connection;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        accept(peer, self.0).await
    }
}

/// That of a server that takes early data, up to its flight.
pub(crate) struct AcceptEarly<'a>(pub(crate) &'a ServerConfig);

impl Handshake for AcceptEarly<'_> {
    type Output = EarlyConnection;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        accept_early(peer, self.0).await
    }
}

impl Handshake for Unfinished {
    type Output = Connection;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        self.finish(peer).await
    }
}

/// The time of one handshake, in all its parts.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    started: Instant,
    deadline: Option<Instant>,
    /// Ends the handshake at once when it is cancelled: the server does not want it any more.
    stop: Option<CancellationToken>,
}

impl Attempt {
    /// One that starts now.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: limit.and_then(|limit| started.checked_add(limit)),
            stop: None,
        }
    }

    /// The same, also over when this is cancelled.
    pub(crate) fn stopped_by(mut self, stop: Option<CancellationToken>) -> Self {
        self.stop = stop;
        self
    }

    /// When it must be over, if ever.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its error when the deadline has passed.
    pub(crate) fn timeout(&self, side: Side, phase: Phase, bytes_in: u64, bytes_out: u64) -> Error {
        Error::Timeout(HandshakeTimeout {
            side,
            phase,
            bytes_in,
            bytes_out,
            elapsed: self.elapsed(),
        })
    }

    /// Ends when the handshake is to be given up, if ever.
    async fn stopped(&self) {
        match &self.stop {
            Some(stop) => stop.cancelled().await,
            None => pending().await,
        }
    }

    /// Runs a handshake to its end, good or bad, on a peer that is made of the link or has been parked. (One function for
    /// both, and no other between them and the core: each would store the connection once more.)
    pub(crate) async fn run<IO, H>(
        &self,
        io: &mut IO,
        start: impl for<'l> FnOnce(&'l mut dyn Link) -> (Peer<'l>, H),
    ) -> Result<H::Output, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
        H: Handshake,
    {
        let mut link = IoLink(&mut *io);
        let (mut peer, handshake) = start(&mut link);
        let ended = {
            let mut handshake = pin!(handshake.run(&mut peer));
            let mut stopped = pin!(self.stopped());
            let either = pin!(poll_fn(|cx| match handshake.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Ended::ByItself(ended)),
                Poll::Pending => stopped.as_mut().poll(cx).map(|()| Ended::Stopped),
            }));
            within(self.deadline, either).await.unwrap_or(Ended::TooLate)
        };
        let error = match ended {
            Ended::ByItself(Ok(output)) => return Ok(output),
            Ended::ByItself(Err(error)) => error,
            Ended::TooLate => {
                // No time is left to say anything to anybody.
                let error = self.timeout(peer.side(), peer.phase(), peer.bytes_in(), peer.bytes_out());
                tracing::debug!(%error, "handshake failed");
                return Err(error);
            }
            Ended::Stopped => {
                // The peer gets an alert if the transport takes it now; nothing waits for that.
                let error = tls_core::Error::hook("TlsListener", "the server stops".into());
                let now = Some(Instant::now());
                let _ = within(now, pin!(peer.send_alert(&error))).await;
                drop(peer);
                let _ = within(now, pin!(shut_down(io))).await;
                tracing::debug!("handshake given up: the server stops");
                return Err(Error::Stopped);
            }
        };

        let linger = Instant::now() + LINGER;
        let until = Some(self.deadline.map_or(linger, |deadline| deadline.min(linger)));
        // Whatever goes wrong from here on, the first error is the one to report.
        let sent = within(until, pin!(peer.send_alert(&error))).await;
        drop(peer);
        if let Some(Ok(true)) = sent {
            let _ = within(until, pin!(close_lingering(io))).await;
        } else if !matches!(error.kind(), ErrorKind::NotTls { .. }) {
            let _ = within(until, pin!(shut_down(io))).await;
        }
        tracing::debug!(%error, "handshake failed");
        Err(error.into())
    }
}

/// How a handshake ended.
enum Ended<T> {
    ByItself(Result<T, tls_core::Error>),
    TooLate,
    Stopped,
}

impl<IO> HandshakeFailure<IO> {
    pub(crate) fn new(error: Error, io: IO) -> Self {
        Self { error, io }
    }
}

/// The future's output, or `None` once the deadline has passed. It is lent: a future that is given away is stored
/// once more by each layer that it goes through.
async fn within<F: Future>(deadline: Option<Instant>, future: Pin<&mut F>) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

async fn shut_down<IO: AsyncWrite + Unpin>(io: &mut IO) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx)).await
}

/// Shuts the write side down, then reads until the peer has closed its side: a socket that is closed with input
/// unread resets the connection, and the reset overtakes the alert.
async fn close_lingering<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) -> io::Result<()> {
    shut_down(io).await?;
    // On the heap, since this is rare and every handshake in progress would pay for it in its future.
    let mut discard = vec![0; 4096];
    let mut left = LINGER_BYTES;
    poll_fn(|cx| {
        while left > 0 {
            let mut buf = ReadBuf::new(&mut discard);
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => break,
                Poll::Ready(Ok(())) => left = left.saturating_sub(buf.filled().len()),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the future of a handshake in progress: the core's own (at most 2 KiB), and 1.5 KiB for the record layer, a timer, and
    /// the finished stream.
    const MAX_FUTURE: usize = 2048 + 1536;

    #[test]
    fn the_future_of_a_handshake_is_small() {
        let config = ClientConfig::builder()
            .dangerously_accept_any_certificate()
            .build()
            .unwrap();
        let connector = crate::TlsConnector::new(config);
        let (io, _other) = tokio::io::duplex(1);
        let size = size_of_val(&connector.connect(ServerName::try_from("localhost").unwrap(), io));
        assert!(size <= MAX_FUTURE, "connect takes {size} bytes");
    }
}
