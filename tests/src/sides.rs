//! A client and a server on Tokio that trust each other, small and deterministic: the same number of bytes in every
//! handshake, so that a test can do something at each of them.

use std::sync::OnceLock;
use std::time::Duration;

use tls_core::{
    CertifiedKey, ClientConfig, ClientConfigBuilder, NamedGroup, ServerConfig, ServerConfigBuilder,
    ServerName,
};
use tls_tokio::{HandshakeFailure, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

use crate::pki::{Identity, KeyType, Leaf};
use crate::script::{Script, ScriptedIo};

/// Which side of a handshake a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Role {
    Client,
    Server,
}

impl Role {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Runs a handshake in this role with [`connector`] or [`acceptor`], and this limit.
    ///
    /// # Errors
    /// That of the handshake.
    pub async fn handshake<IO>(
        self,
        io: IO,
        limit: Option<Duration>,
    ) -> Result<TlsStream<IO>, HandshakeFailure<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match self {
            Self::Client => {
                connector()
                    .handshake_timeout(limit)
                    .connect(server_name(), io)
                    .await
            }
            Self::Server => acceptor().handshake_timeout(limit).accept(io).await,
        }
    }
}

/// The server's certificate: self-signed, with an Ed25519 key, whose signatures all have the same length.
pub fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Leaf::new(KeyType::Ed25519, &["localhost"]).self_signed())
}

/// The same with its key.
///
/// # Panics
/// If they are not accepted.
#[must_use]
pub fn certified_key() -> CertifiedKey {
    CertifiedKey::from_der(identity().chain(), &identity().key()).expect("the identity is good")
}

/// The name in the certificate.
///
/// # Panics
/// Never: it is a good name.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a good name")
}

/// A client that accepts the certificate, with small key shares; to be changed where a test needs something else.
pub fn client_builder() -> ClientConfigBuilder {
    ClientConfig::builder()
        .groups([NamedGroup::X25519])
        .dangerously_pin_certificate(identity().leaf())
}

/// A server with the certificate.
pub fn server_builder() -> ServerConfigBuilder {
    ServerConfig::builder().certificate(certified_key())
}

/// From [`client_builder`].
///
/// # Panics
/// If the configuration is refused.
#[must_use]
pub fn connector() -> TlsConnector {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| client_builder().build().expect("a good configuration"));
    TlsConnector::new(config.clone())
}

/// From [`server_builder`].
///
/// # Panics
/// If the configuration is refused.
#[must_use]
pub fn acceptor() -> TlsAcceptor {
    static CONFIG: OnceLock<ServerConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| server_builder().build().expect("a good configuration"));
    TlsAcceptor::new(config.clone())
}

/// A transport in memory that does to the side under test what the script says, and the other end of it.
pub fn scripted(script: Script) -> (ScriptedIo<DuplexStream>, DuplexStream) {
    let (subject, peer) = duplex(64 * 1024);
    (ScriptedIo::new(subject, script), peer)
}

/// A handshake over these two ends, client first.
///
/// # Panics
/// If it fails.
pub async fn establish<C, S>(client: C, server: S) -> (TlsStream<C>, TlsStream<S>)
where
    C: AsyncRead + AsyncWrite + Unpin + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = Some(Duration::from_secs(10));
    let (client, server) = tokio::join!(
        Role::Client.handshake(client, limit),
        Role::Server.handshake(server, limit)
    );
    (
        client.expect("the client's handshake"),
        server.expect("the server's handshake"),
    )
}

/// A record as it is on the wire: its type, and the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireRecord {
    /// `content_type` of the header: 23 for all that is protected.
    pub content_type: u8,
    /// Bytes after the header.
    pub length: usize,
}

/// The records of these bytes.
///
/// # Panics
/// If they are not whole records.
#[must_use]
pub fn records(mut bytes: &[u8]) -> Vec<WireRecord> {
    let mut records = Vec::new();
    while let [content_type, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        records.push(WireRecord {
            content_type: *content_type,
            length,
        });
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a record header: {bytes:?}");
    records
}
