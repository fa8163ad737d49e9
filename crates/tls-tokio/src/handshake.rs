//! One handshake on a Tokio stream: under one deadline, and ended so that the peer learns why it failed.

use core::convert::Infallible;
use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tls_core::{
    AlertDescription, ClientConfig, ClientHello, Connection, ConnectionContext, EarlyConnection, ErrorKind,
    Link, Negotiated, Peer, PendingAccept, Phase, ServerConfig, ServerName, Side, Unfinished, accept,
    accept_early, connect_early, read_client_hello,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, HandshakeFailure, HandshakeTimeout};
use crate::info::TlsInfo;
use crate::link::IoLink;
use crate::observer::{Observer, Reason};
use crate::watch::{HandshakeWatch, StreamWatch, tell_of_failure};

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

/// The first stage of a server's.
pub(crate) struct ReadClientHello;

impl Handshake for ReadClientHello {
    type Output = PendingAccept;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        read_client_hello(peer).await
    }
}

/// A server's that ends before it begins.
pub(crate) struct Refuse(pub(crate) AlertDescription);

impl Handshake for Refuse {
    type Output = Infallible;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        Err(peer.refusal(self.0))
    }
}

impl Handshake for Unfinished {
    type Output = Connection;

    async fn run(self, peer: &mut Peer<'_>) -> Result<Self::Output, tls_core::Error> {
        self.finish(peer).await
    }
}

/// One handshake, in all its parts: its time, and who is told of it.
pub(crate) struct Attempt {
    started: Instant,
    deadline: Option<Instant>,
    /// Ends the handshake at once when it is cancelled: the server does not want it any more.
    stop: Option<CancellationToken>,
    /// Where somebody wants to know. Dropped with this, it tells that the handshake was given up.
    watch: Option<Box<HandshakeWatch>>,
}

/// A handshake that did not succeed. It is boxed, so that those that do need no room for it.
pub(crate) struct Failed {
    error: Error,
    client_hello: Option<Arc<ClientHello>>,
}

impl Attempt {
    /// A client's that starts now.
    pub(crate) fn client(
        limit: Option<Duration>,
        server_name: &ServerName<'static>,
        context: &ConnectionContext,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Self {
        Self::new(limit, Side::Client, Some(server_name), context, observer)
    }

    /// A server's.
    pub(crate) fn server(
        limit: Option<Duration>,
        context: &ConnectionContext,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Self {
        Self::new(limit, Side::Server, None, context, observer)
    }

    fn new(
        limit: Option<Duration>,
        side: Side,
        server_name: Option<&ServerName<'static>>,
        context: &ConnectionContext,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: limit.and_then(|limit| started.checked_add(limit)),
            stop: None,
            watch: HandshakeWatch::start(side, server_name, context, observer, started),
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

    /// Who is told, if anybody.
    pub(crate) fn watch(&self) -> Option<&HandshakeWatch> {
        self.watch.as_deref()
    }

    /// It has succeeded: who is told of the stream, if anybody.
    pub(crate) fn established(
        self,
        negotiated: &Arc<Negotiated>,
        elapsed: Duration,
    ) -> Option<Arc<StreamWatch>> {
        let watch = self.watch?;
        watch.finished(TlsInfo::new(Arc::clone(negotiated), elapsed))
    }

    /// The connection goes on without us.
    pub(crate) fn passed_on(self, client_hello: &ClientHello) {
        if let Some(mut watch) = self.watch {
            watch.failed(Reason::PassedOn, None, None, Some(client_hello));
        }
    }

    /// It has failed: says so to whoever listens.
    fn failed(
        &mut self,
        error: Error,
        phase: Phase,
        alert_sent: Option<AlertDescription>,
        client_hello: Option<Arc<ClientHello>>,
    ) -> Box<Failed> {
        match &mut self.watch {
            Some(watch) => watch.failed(
                Reason::Error(&error),
                Some(phase),
                alert_sent,
                client_hello.as_deref(),
            ),
            None => tell_of_failure(&error, client_hello.as_deref()),
        }
        Box::new(Failed { error, client_hello })
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
        &mut self,
        io: &mut IO,
        start: impl for<'l> FnOnce(&'l mut dyn Link) -> (Peer<'l>, H),
    ) -> Result<H::Output, Box<Failed>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
        H: Handshake,
    {
        let mut link = IoLink(&mut *io, self.watch.as_deref());
        let (mut peer, handshake) = start(&mut link);
        let ended = {
            let mut handshake = pin!(handshake.run(&mut peer));
            let mut stopped = pin!(self.stopped());
            let either = pin!(poll_fn(|cx| {
                let _entered = self.watch().map(HandshakeWatch::enter);
                match handshake.as_mut().poll(cx) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended)),
                    Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
                }
            }));
            match within(self.deadline, either).await {
                Some(Some(Ok(output))) => return Ok(output),
                Some(Some(Err(error))) => Ended::Failed(error),
                Some(None) => Ended::Stopped,
                None => Ended::TooLate,
            }
        };
        // Before an alert makes another of it.
        let phase = peer.phase();
        let client_hello = peer.client_hello().cloned();
        let error = match ended {
            Ended::Failed(error) => error,
            Ended::TooLate => {
                // No time is left to say anything to anybody.
                let error = self.timeout(peer.side(), phase, peer.bytes_in(), peer.bytes_out());
                drop(peer);
                return Err(self.failed(error, phase, None, client_hello));
            }
            Ended::Stopped => {
                // The peer gets an alert if the transport takes it now; nothing waits for that.
                let alert = tls_core::Error::hook("TlsListener", "the server stops".into());
                let now = Some(Instant::now());
                let sent = within(now, pin!(peer.send_alert(&alert))).await;
                drop(peer);
                let sent = alert.alert().filter(|_| matches!(sent, Some(Ok(true))));
                let failed = self.failed(Error::Stopped, phase, sent, client_hello);
                let _ = within(now, pin!(shut_down(io))).await;
                return Err(failed);
            }
        };

        let linger = Instant::now() + LINGER;
        let until = Some(self.deadline.map_or(linger, |deadline| deadline.min(linger)));
        // Whatever goes wrong from here on, the first error is the one to report.
        let sent = within(until, pin!(peer.send_alert(&error))).await;
        drop(peer);
        let sent = error.alert().filter(|_| matches!(sent, Some(Ok(true))));
        let is_tls = !matches!(error.kind(), ErrorKind::NotTls { .. });
        let failed = self.failed(error.into(), phase, sent, client_hello);
        if sent.is_some() {
            let _ = within(until, pin!(close_lingering(io))).await;
        } else if is_tls {
            let _ = within(until, pin!(shut_down(io))).await;
        }
        Err(failed)
    }
}

/// How a handshake ended that did not succeed.
enum Ended {
    Failed(tls_core::Error),
    TooLate,
    Stopped,
}

impl<IO> HandshakeFailure<IO> {
    #[expect(clippy::boxed_local, reason = "it is boxed where it comes from")]
    pub(crate) fn new(failed: Box<Failed>, io: IO) -> Self {
        Self {
            error: failed.error,
            client_hello: failed.client_hello,
            io,
        }
    }

    /// One that ended before its handshake began.
    pub(crate) fn before_handshake(error: Error, io: IO) -> Self {
        Self {
            error,
            client_hello: None,
            io,
        }
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

    /// Bytes of the future that this function gives.
    fn size_of_output<'a, P, F>(_: impl FnOnce(P, &'a ServerConfig) -> F) -> usize {
        size_of::<F>()
    }

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

        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (chain, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let certified = tls_core::CertifiedKey::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let config = ServerConfig::builder().certificate(certified).build().unwrap();
        let acceptor = crate::TlsAcceptor::new(config);
        let (io, _other) = tokio::io::duplex(1);
        let size = size_of_val(&acceptor.accept(io));
        assert!(size <= MAX_FUTURE, "accept takes {size} bytes");
        let (io, _other) = tokio::io::duplex(1);
        let size = size_of_val(&acceptor.read_client_hello(io));
        assert!(size <= MAX_FUTURE, "read_client_hello takes {size} bytes");
        let size = size_of_output(crate::PendingAccept::<tokio::io::DuplexStream>::accept);
        assert!(size <= MAX_FUTURE, "PendingAccept::accept takes {size} bytes");
    }
}
