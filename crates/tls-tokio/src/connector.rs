//! The client's entrance.

use core::time::Duration;
use std::sync::Arc;

use tls_core::{ClientConfig, ConnectionContext, Peer, ServerName, Side};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::HandshakeFailure;
use crate::handshake::{Attempt, Connect, DEFAULT_HANDSHAKE_TIMEOUT};
use crate::observer::Observer;
use crate::session_keeper::SessionKeeper;
use crate::stream::TlsStream;

/// Opens TLS connections on streams that are connected already. Cheap to clone.
///
/// ```no_run
/// use tls_tokio::{ClientConfig, RootStore, ServerName, TlsConnector};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// # async fn example(ca_pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::builder().roots(RootStore::from_pem(ca_pem)?).build()?;
/// let connector = TlsConnector::new(config);
///
/// let tcp = TcpStream::connect("localhost:8443").await?;
/// let mut tls = connector.connect(ServerName::try_from("localhost")?.to_owned(), tcp).await?;
/// tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
/// let mut response = Vec::new();
/// tls.read_to_end(&mut response).await?;
/// tls.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsConnector {
    config: ClientConfig,
    handshake_timeout: Option<Duration>,
    observer: Option<Arc<dyn Observer>>,
}

impl From<ClientConfig> for TlsConnector {
    fn from(config: ClientConfig) -> Self {
        Self::new(config)
    }
}

impl TlsConnector {
    /// Connects with this configuration, each handshake within 10 seconds.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            config,
            handshake_timeout: Some(DEFAULT_HANDSHAKE_TIMEOUT),
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

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Runs a handshake with the server of this name or address.
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it.
    ///
    /// # Errors
    /// The handshake failed or took too long. The alert was sent, and the failure carries the stream.
    pub async fn connect<IO>(
        &self,
        server_name: ServerName<'static>,
        io: IO,
    ) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let connected = self.run(server_name, io, &[], ConnectionContext::new()).await;
        connected.map(|(stream, _)| stream)
    }

    /// As [`Self::connect`], with what is known of the connection for the hooks to see.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with<IO>(
        &self,
        server_name: ServerName<'static>,
        io: IO,
        context: ConnectionContext,
    ) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let connected = self.run(server_name, io, &[], context).await;
        connected.map(|(stream, _)| stream)
    }

    /// As [`Self::connect`], and sends early data (0-RTT, section 2.3) with the ClientHello if the cache has a session
    /// whose ticket allows it. Returns the stream, and the end of the early data that the server has not seen: all of it
    /// where none could be sent or the server rejected it, else what was more than the ticket allows, or than the transport
    /// took before the server answered. It is never sent again by itself; [`Negotiated::early_data`] says what became of
    /// it.
    ///
    /// Early data is in the application protocol that the configuration offers first, if it offers any: it is not sent
    /// with a session that had negotiated another. Where it was rejected the handshake may have chosen another one, so look
    /// at [`Negotiated::alpn`] if several are offered.
    ///
    /// ```no_run
    /// # use tls_tokio::{ServerName, TlsConnector};
    /// # use tokio::{io::AsyncWriteExt, net::TcpStream};
    /// # async fn example(connector: TlsConnector, name: ServerName<'static>, tcp: TcpStream)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// let (mut tls, rest) = connector.connect_early(name, tcp, request).await?;
    /// tls.write_all(rest).await?;
    /// tls.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The last of the early data may still be on its way when this returns, with the end of the handshake behind it.
    /// Reading the stream sends it too, but the half of [`TlsStream::into_split`] that reads does not: flush before.
    ///
    /// Others can record early data and send it again, so that the server sees it more than once, and it lacks forward
    /// secrecy: it must only ask for what may be done twice (section 8; RFC 8470 for HTTP).
    ///
    /// Not cancel safe: dropping the future drops the stream, and so closes it; the server may act on the early data
    /// all the same.
    ///
    /// # Errors
    /// As [`Self::connect`]. The server may have acted on the early data.
    ///
    /// [`Negotiated::early_data`]: tls_core::Negotiated::early_data
    /// [`Negotiated::alpn`]: tls_core::Negotiated::alpn
    pub async fn connect_early<'d, IO>(
        &self,
        server_name: ServerName<'static>,
        io: IO,
        early_data: &'d [u8],
    ) -> Result<(TlsStream<IO>, &'d [u8]), HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.run(server_name, io, early_data, ConnectionContext::new())
            .await
    }

    /// As [`Self::connect_early`], with what is known of the connection for the hooks to see.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_early_with<'d, IO>(
        &self,
        server_name: ServerName<'static>,
        io: IO,
        early_data: &'d [u8],
        context: ConnectionContext,
    ) -> Result<(TlsStream<IO>, &'d [u8]), HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.run(server_name, io, early_data, context).await
    }

    async fn run<'d, IO>(
        &self,
        server_name: ServerName<'static>,
        mut io: IO,
        early_data: &'d [u8],
        context: ConnectionContext,
    ) -> Result<(TlsStream<IO>, &'d [u8]), HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let observer = self.observer.as_ref();
        let mut attempt = Attempt::client(self.handshake_timeout, &server_name, &context, observer);
        let sessions = SessionKeeper::new(&self.config, &server_name, &context);
        let handshake = Connect {
            config: &self.config,
            server_name: &server_name,
            early_data,
        };
        let ended = attempt.run(&mut io, |link| {
            (Peer::new(Side::Client, link, context), &handshake)
        });
        match ended.await {
            Ok((connection, accepted)) => {
                let stream = TlsStream::new(io, connection, attempt, sessions);
                stream.wrote_early(accepted);
                Ok((stream, early_data.get(accepted..).unwrap_or_default()))
            }
            Err(failed) => Err(HandshakeFailure::new(failed, io)),
        }
    }
}
