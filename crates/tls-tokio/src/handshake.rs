//! One handshake on a Tokio stream: under one deadline, and ended so that the peer learns why it failed.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;

use tls_core::{
    ClientConfig, Connection, ConnectionContext, ErrorKind, Peer, ServerConfig, ServerName, Side, accept,
    connect,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, HandshakeFailure, HandshakeTimeout};
use crate::link::IoLink;
use crate::session_keeper::SessionKeeper;
use crate::stream::TlsStream;

/// How long a handshake may take unless the caller says otherwise: hooks and the closing alert included.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failure the peer gets this long to close its side, so that unread input does not turn our alert into a
/// reset; the handshake's deadline cuts it shorter.
const LINGER: Duration = Duration::from_secs(1);

/// At most this much input is read and thrown away meanwhile.
const LINGER_BYTES: usize = 256 * 1024;

/// Which handshake to run.
pub(crate) enum Role<'a> {
    Connect {
        config: &'a ClientConfig,
        server_name: &'a ServerName<'static>,
    },
    Accept {
        config: &'a ServerConfig,
    },
}

impl Role<'_> {
    const fn side(&self) -> Side {
        match self {
            Self::Connect { .. } => Side::Client,
            Self::Accept { .. } => Side::Server,
        }
    }

    /// Keeps the sessions of a client that has a cache.
    fn session_keeper(&self, context: &ConnectionContext) -> Option<Box<SessionKeeper>> {
        match self {
            Self::Connect { config, server_name } => SessionKeeper::new(config, server_name, context.clone()),
            Self::Accept { .. } => None,
        }
    }

    async fn run(&self, peer: &mut Peer<'_>) -> Result<Connection, tls_core::Error> {
        match self {
            Self::Connect { config, server_name } => connect(peer, config, server_name).await,
            Self::Accept { config } => accept(peer, config).await,
        }
    }
}

/// Runs a handshake to its end, good or bad.
pub(crate) async fn run<IO>(
    mut io: IO,
    role: &Role<'_>,
    limit: Option<Duration>,
    context: ConnectionContext,
) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let started = Instant::now();
    let deadline = limit.and_then(|limit| started.checked_add(limit));
    let mut link = IoLink(&mut io);
    let sessions = role.session_keeper(&context);
    let mut peer = Peer::new(role.side(), &mut link, context);

    let ended = within(deadline, pin!(role.run(&mut peer))).await;
    let error = match ended {
        Some(Ok(connection)) => {
            return Ok(TlsStream::new(io, connection, started.elapsed(), sessions));
        }
        Some(Err(error)) => error,
        None => {
            let error = Error::Timeout(HandshakeTimeout {
                side: role.side(),
                phase: peer.phase(),
                bytes_in: peer.bytes_in(),
                bytes_out: peer.bytes_out(),
                elapsed: started.elapsed(),
            });
            return Err(fail(error, io));
        }
    };

    let linger = Instant::now() + LINGER;
    let until = Some(deadline.map_or(linger, |deadline| deadline.min(linger)));
    // Whatever goes wrong from here on, the first error is the one to report.
    let sent = within(until, pin!(peer.send_alert(&error))).await;
    drop(peer);
    if let Some(Ok(true)) = sent {
        let _ = within(until, pin!(close_lingering(&mut io))).await;
    } else if !matches!(error.kind(), ErrorKind::NotTls { .. }) {
        let _ = within(until, pin!(shut_down(&mut io))).await;
    }
    Err(fail(error.into(), io))
}

fn fail<IO>(error: Error, io: IO) -> HandshakeFailure<IO> {
    tracing::debug!(%error, "handshake failed");
    HandshakeFailure { error, io }
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
