//! The server's entrance.

use core::time::Duration;
use std::sync::Arc;

use tls_core::{ConnectionContext, Peer, ServerConfig, Side};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::early::EarlyTlsStream;
use crate::error::HandshakeFailure;
use crate::handshake::{Accept, AcceptEarly, Attempt, DEFAULT_HANDSHAKE_TIMEOUT};
use crate::observer::Observer;
use crate::pending::PendingAccept;
use crate::stream::TlsStream;

/// Accepts TLS on streams that are connected already. Cheap to clone.
///
/// Spawn a task for each accepted stream: a handshake that is awaited in the accept loop lets one slow client hold
/// up all others. [`TlsListener`](crate::TlsListener) does that, and more that a server needs.
///
/// ```no_run
/// use tls_tokio::{CertifiedKey, ServerConfig, TlsAcceptor};
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpListener;
///
/// # async fn example(chain_pem: &[u8], key_pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let config = ServerConfig::builder().certificate(CertifiedKey::from_pem(chain_pem, key_pem)?).build()?;
/// let acceptor = TlsAcceptor::new(config);
/// let listener = TcpListener::bind("127.0.0.1:8443").await?;
/// loop {
///     let (tcp, _) = listener.accept().await?;
///     let acceptor = acceptor.clone();
///     tokio::spawn(async move {
///         let mut tls = acceptor.accept(tcp).await?;
///         tls.write_all(b"hello\n").await?;
///         tls.shutdown().await
///     });
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    config: ServerConfig,
    handshake_timeout: Option<Duration>,
    stop: Option<CancellationToken>,
    observer: Option<Arc<dyn Observer>>,
}

impl From<ServerConfig> for TlsAcceptor {
    fn from(config: ServerConfig) -> Self {
        Self::new(config)
    }
}

impl TlsAcceptor {
    /// Accepts with this configuration, each handshake within 10 seconds.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            handshake_timeout: Some(DEFAULT_HANDSHAKE_TIMEOUT),
            stop: None,
            observer: None,
        }
    }

    /// How long a handshake may take, hooks and the closing alert included; `None` for no limit.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Option<Duration>) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Tells this observer what becomes of each connection; one that was set before is told no more.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Handshakes end, with an attempt at an alert and [`Error::Stopped`](crate::Error::Stopped), when this is cancelled.
    pub(crate) fn stopped_by(mut self, stop: CancellationToken) -> Self {
        self.stop = Some(stop);
        self
    }

    fn attempt(&self, context: &ConnectionContext) -> Attempt {
        Attempt::server(self.handshake_timeout, context, self.observer.as_ref()).stopped_by(self.stop.clone())
    }

    /// How long a handshake may take; `None` for no limit.
    #[must_use]
    pub const fn time_limit(&self) -> Option<Duration> {
        self.handshake_timeout
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Runs a handshake with the client at the other end.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// The handshake failed or took too long. The alert was sent, and the failure carries the stream.
    pub async fn accept<IO>(&self, io: IO) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.accept_with(io, ConnectionContext::new()).await
    }

    /// As [`Self::accept`], with what is known of the connection for the hooks to see.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_with<IO>(
        &self,
        mut io: IO,
        context: ConnectionContext,
    ) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut attempt = self.attempt(&context);
        let handshake = Accept(&self.config);
        let ended = attempt.run(&mut io, |link| {
            (Peer::new(Side::Server, link, context), handshake)
        });
        match ended.await {
            Ok(connection) => Ok(TlsStream::new(io, connection, attempt, None)),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }

    /// Reads the ClientHello and lets the caller decide: go on with a configuration chosen by it, refuse with an alert,
    /// or give the transport back with all bytes that came, to pass the connection on. See [`PendingAccept`]. All of it
    /// is under the deadline that starts here.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// No ClientHello came in time, or something else did. As with [`Self::accept`], the alert was sent, and the
    /// failure carries the stream.
    pub async fn read_client_hello<IO>(&self, io: IO) -> Result<PendingAccept<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.read_client_hello_with(io, ConnectionContext::new()).await
    }

    /// As [`Self::read_client_hello`], with what is known of the connection for the hooks to see.
    ///
    /// # Errors
    /// As [`Self::read_client_hello`].
    pub async fn read_client_hello_with<IO>(
        &self,
        io: IO,
        context: ConnectionContext,
    ) -> Result<PendingAccept<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        PendingAccept::read_in(self.attempt(&context), io, context).await
    }

    /// Runs a handshake up to our Finished, and accepts early data (0-RTT, section 2.3) where the configuration's
    /// [`max_early_data`](tls_core::ServerConfigBuilder::max_early_data), the client's ticket and the replay guard
    /// allow it. What it returns reads early data, writes before the handshake is over (0.5-RTT), and finishes the
    /// handshake, all under the deadline that starts here.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_early<IO>(&self, io: IO) -> Result<EarlyTlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.accept_early_with(io, ConnectionContext::new()).await
    }

    /// As [`Self::accept_early`], with what is known of the connection for the hooks to see.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_early_with<IO>(
        &self,
        mut io: IO,
        context: ConnectionContext,
    ) -> Result<EarlyTlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut attempt = self.attempt(&context);
        let handshake = AcceptEarly(&self.config);
        let ended = attempt.run(&mut io, |link| {
            (Peer::new(Side::Server, link, context), handshake)
        });
        match ended.await {
            Ok(early) => Ok(EarlyTlsStream::new(io, early, attempt)),
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }
}
