//! A client and a server on Tokio that trust each other, small and deterministic: the same number of bytes in every
//! handshake, so that a test can do something at each of them.

use std::sync::OnceLock;
use std::time::Duration;

use tls_core::{
    CertifiedKey, ClientConfig, ClientConfigBuilder, HandshakeType, NamedGroup, ProtocolVersion,
    ServerConfig, ServerConfigBuilder, ServerName, Side,
};
use tls_tokio::{HandshakeFailure, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

use crate::pki::{Identity, KeyType, Leaf};
use crate::script::{Script, ScriptedIo};
use crate::versions::Only;

/// Which side of a handshake a test looks at, and the version it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    side: Side,
    version: ProtocolVersion,
}

impl Role {
    /// The client.
    #[must_use]
    pub const fn client(version: ProtocolVersion) -> Self {
        let side = Side::Client;
        Self { side, version }
    }

    /// The server.
    #[must_use]
    pub const fn server(version: ProtocolVersion) -> Self {
        let side = Side::Server;
        Self { side, version }
    }

    /// Both sides.
    #[must_use]
    pub const fn both(version: ProtocolVersion) -> [Self; 2] {
        [Self::client(version), Self::server(version)]
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self.side {
            Side::Client => Self::server(self.version),
            Side::Server => Self::client(self.version),
        }
    }

    /// Whether it is the client.
    #[must_use]
    pub const fn is_client(self) -> bool {
        matches!(self.side, Side::Client)
    }

    /// What this side waits for after so many bytes of those that its peer sends in a handshake. Messages that share
    /// a record are seen at once, and not before all of it is there.
    #[must_use]
    pub fn awaits(self, peer_bytes: &[u8], received: usize) -> HandshakeType {
        let lengths: Vec<_> = records(peer_bytes)
            .iter()
            .map(|record| 5 + record.length)
            .collect();
        let is_tls12 = self.version == ProtocolVersion::TLS12;
        match self.side {
            Side::Server if received < lengths[0] => HandshakeType::CLIENT_HELLO,
            Side::Server if is_tls12 && received < lengths[0] + lengths[1] => {
                HandshakeType::CLIENT_KEY_EXCHANGE
            }
            Side::Client if received < lengths[0] => HandshakeType::SERVER_HELLO,
            Side::Client if !is_tls12 => HandshakeType::ENCRYPTED_EXTENSIONS,
            _ => HandshakeType::FINISHED,
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
        match self.side {
            Side::Client => {
                connector(self.version)
                    .handshake_timeout(limit)
                    .connect(server_name(), io)
                    .await
            }
            Side::Server => acceptor().handshake_timeout(limit).accept(io).await,
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
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
        .dangerously_pin_certificate(identity().leaf())
}

/// A server with the certificate.
pub fn server_builder() -> ServerConfigBuilder {
    ServerConfig::builder().certificate(certified_key())
}

/// From [`client_builder`], for one version.
///
/// # Panics
/// If the configuration is refused.
#[must_use]
pub fn connector(version: ProtocolVersion) -> TlsConnector {
    static CONFIGS: [OnceLock<ClientConfig>; 2] = [OnceLock::new(), OnceLock::new()];
    let [tls12, tls13] = &CONFIGS;
    let config = if version == ProtocolVersion::TLS12 {
        tls12
    } else {
        tls13
    };
    let config = config.get_or_init(|| {
        client_builder()
            .only(version)
            .build()
            .expect("a good configuration")
    });
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
pub async fn establish<C, S>(version: ProtocolVersion, client: C, server: S) -> (TlsStream<C>, TlsStream<S>)
where
    C: AsyncRead + AsyncWrite + Unpin + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = Some(Duration::from_secs(10));
    let (client, server) = tokio::join!(
        Role::client(version).handshake(client, limit),
        Role::server(version).handshake(server, limit)
    );
    (
        client.expect("the client's handshake"),
        server.expect("the server's handshake"),
    )
}

/// A record as it is on the wire: its type, and the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireRecord {
    /// `content_type` of the header: in TLS 1.3 23 for all that is protected.
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
