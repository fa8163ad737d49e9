//! A server's handshake between the ClientHello and the answer to it.

use core::fmt;
use core::time::Duration;

use tls_core::{AlertDescription, ClientHello, ConnectionContext, Peer, ServerConfig, Side};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::early::EarlyTlsStream;
use crate::error::HandshakeFailure;
use crate::handshake::{Accept, AcceptEarly, Attempt, ReadClientHello, Refuse};
use crate::link::Recorder;
use crate::stream::TlsStream;

/// A client that waits for an answer to its ClientHello:
/// [`TlsAcceptor::read_client_hello`](crate::TlsAcceptor::read_client_hello) gives it.
///
/// Nothing has been written yet. Go on with a configuration of your choice ([`Self::accept`], [`Self::accept_early`]),
/// refuse the client with an alert of your choice ([`Self::refuse`]), or take the transport and what was read from it
/// ([`Self::into_parts`]) and pass both on, as a router by server name does that does not end TLS itself.
///
/// The deadline of the handshake goes on meanwhile: what you wait for in between is yours to bound, by
/// [`Self::deadline`]. Dropping it drops the transport, and so closes it.
///
/// ```no_run
/// # use tls_tokio::{AlertDescription, ServerConfig, TlsAcceptor};
/// # use tokio::net::TcpStream;
/// # fn config_for(name: &str) -> Option<ServerConfig> { None }
/// # async fn example(acceptor: TlsAcceptor, tcp: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// let pending = acceptor.read_client_hello(tcp).await?;
/// let stream = match pending.client_hello().server_name().and_then(config_for) {
///     Some(config) => pending.accept(&config).await?,
///     None => return Err(pending.refuse(AlertDescription::UNRECOGNIZED_NAME).await.into()),
/// };
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it closes the connection without an answer"]
pub struct PendingAccept<IO> {
    io: IO,
    /// All that was read from it.
    received: Vec<u8>,
    pending: tls_core::PendingAccept,
    attempt: Attempt,
}

impl<IO> PendingAccept<IO> {
    /// What the client offers.
    #[must_use]
    pub fn client_hello(&self) -> &ClientHello {
        self.pending.client_hello()
    }

    /// The transport.
    #[must_use]
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// When the handshake must be over, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.attempt.deadline()
    }

    /// The transport, and all bytes that were read from it, as they came: the records of the ClientHello, and what was
    /// read behind them. Whoever goes on with the connection needs both.
    #[must_use]
    pub fn into_parts(self) -> (IO, Vec<u8>) {
        self.attempt.passed_on(self.pending.client_hello());
        (self.io, self.received)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> PendingAccept<IO> {
    /// Reads the ClientHello without a [`TlsAcceptor`](crate::TlsAcceptor), and so without a configuration, which a
    /// router need not have. The handshake may take as long as `limit` says, reading included; `None` is no limit.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// As [`TlsAcceptor::read_client_hello`](crate::TlsAcceptor::read_client_hello).
    pub async fn read(
        io: IO,
        context: ConnectionContext,
        limit: Option<Duration>,
    ) -> Result<Self, HandshakeFailure<IO>> {
        Self::read_in(Attempt::server(limit, &context, None), io, context).await
    }

    pub(crate) async fn read_in(
        mut attempt: Attempt,
        mut io: IO,
        context: ConnectionContext,
    ) -> Result<Self, HandshakeFailure<IO>> {
        let mut recorder = Recorder::new(&mut io);
        let read = attempt.run(&mut recorder, |link| {
            (Peer::new(Side::Server, link, context), ReadClientHello)
        });
        match read.await {
            Ok(pending) => Ok(Self {
                received: recorder.received,
                io,
                pending,
                attempt,
            }),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }

    /// Goes on with the handshake, with this configuration, within what is left of its time. As ever, the
    /// configuration's own [`ConfigSelector`](tls_core::ConfigSelector) is asked, if it has one.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// The handshake failed or took too long. The alert was sent, and the failure carries the stream.
    pub async fn accept(self, config: &ServerConfig) -> Result<TlsStream<IO>, HandshakeFailure<IO>> {
        let Self {
            mut io,
            pending,
            mut attempt,
            ..
        } = self;
        match attempt
            .run(&mut io, |link| (pending.resume(link), Accept(config)))
            .await
        {
            Ok(connection) => Ok(TlsStream::new(io, connection, attempt, None)),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }

    /// Goes on as [`TlsAcceptor::accept_early`](crate::TlsAcceptor::accept_early) does, with this configuration.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_early(
        self,
        config: &ServerConfig,
    ) -> Result<EarlyTlsStream<IO>, HandshakeFailure<IO>> {
        let Self {
            mut io,
            pending,
            mut attempt,
            ..
        } = self;
        match attempt
            .run(&mut io, |link| (pending.resume(link), AcceptEarly(config)))
            .await
        {
            Ok(early) => Ok(EarlyTlsStream::new(io, early, attempt)),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }

    /// Refuses the client with this alert, as a handshake does that fails: the alert is flushed, the write side shut
    /// down, and input drained for a moment, so that the alert arrives. Returns the failure, which carries the
    /// transport; its error is [`ErrorKind::Refused`](tls_core::ErrorKind::Refused).
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    pub async fn refuse(self, alert: AlertDescription) -> HandshakeFailure<IO> {
        let Self {
            mut io,
            pending,
            mut attempt,
            ..
        } = self;
        match attempt
            .run(&mut io, |link| (pending.resume(link), Refuse(alert)))
            .await
        {
            Ok(never) => match never {},
            Err(failed) => HandshakeFailure::new(failed, io),
        }
    }
}

impl<IO> fmt::Debug for PendingAccept<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAccept")
            .field("client_hello", self.client_hello())
            .finish_non_exhaustive()
    }
}
