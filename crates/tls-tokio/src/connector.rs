//! The client's entrance.

use core::time::Duration;

use tls_core::{ClientConfig, ConnectionContext, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::HandshakeFailure;
use crate::handshake::{self, DEFAULT_HANDSHAKE_TIMEOUT, Role};
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
}

impl TlsConnector {
    /// Connects with this configuration, each handshake within 10 seconds.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            config,
            handshake_timeout: Some(DEFAULT_HANDSHAKE_TIMEOUT),
        }
    }

    /// How long a handshake may take, hooks and the closing alert included; `None` for no limit.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Option<Duration>) -> Self {
        self.handshake_timeout = limit;
        self
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
        self.connect_with(server_name, io, ConnectionContext::new()).await
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
        let role = Role::Connect {
            config: &self.config,
            server_name: &server_name,
        };
        handshake::run(io, &role, self.handshake_timeout, context).await
    }
}
