//! tls-core and tls-tokio.

use std::io::Write;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tls_core::{
    Answer, CertifiedKey, CipherSuite, ClientConfig, ClientSessionCache, ConnectionContext, Driver,
    NamedGroup, NoSessions, Progress, ProtocolVersion, RootStore, ServerConfig, SessionKey, SignatureScheme,
};
use tls_tokio::{MemorySessionCache, MemorySessionStore, TlsAcceptor, TlsConnector, TlsStream};
use tokio::net::TcpStream;

use crate::identity::{KeyKind, SERVER_NAME};
use crate::stack::{Connection, Group, Handshake, Resumption, Setup, Stack, Suite, Version};

/// Our stack, configured.
pub struct Ours {
    client: ClientConfig,
    server: ServerConfig,
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    name: ServerName<'static>,
}

impl Stack for Ours {
    type ClientHandshake = Running;
    type ServerHandshake = Running;
    type ClientStream = TlsStream<TcpStream>;
    type ServerStream = TlsStream<TcpStream>;

    fn new(setup: &Setup<'_>) -> Option<Self> {
        let suite = suite(setup);
        let version = match setup.version {
            Version::Tls12 => ProtocolVersion::TLS12,
            Version::Tls13 => ProtocolVersion::TLS13,
        };
        let group = |group: &Group| match group {
            Group::X25519 => NamedGroup::X25519,
            Group::X25519MlKem768 => NamedGroup::X25519MLKEM768,
        };
        let groups = || setup.groups.iter().map(group);
        // In TLS 1.2 a client names the curve of the certificate's key as well.
        let curve = Some(NamedGroup::SECP256R1)
            .filter(|curve| version == ProtocolVersion::TLS12 && groups().all(|group| group != *curve));
        let mut roots = RootStore::empty();
        roots.add_der(&setup.identity.root).unwrap();
        let mut client = ClientConfig::builder()
            .roots(roots)
            .min_version(version)
            .max_version(version)
            .cipher_suites([suite])
            .groups(groups().chain(curve))
            .key_shares(groups());
        let mut server = ServerConfig::builder();
        match setup.resumption {
            Some(way) => {
                client = client.session_cache(Arc::new(MemorySessionCache::default()));
                server = match way {
                    Resumption::Tickets(count) => server.tickets(count),
                    Resumption::OldTicket | Resumption::RenewedTicket => server,
                    Resumption::SessionId => server.session_store(Arc::new(MemorySessionStore::default())),
                };
            }
            // A client that wants tickets, and keeps none.
            None if setup.tickets => client = client.session_cache(Arc::new(NoSessions)),
            None => server = server.tickets(0),
        }
        if setup.identity.kind == KeyKind::Rsa2048 {
            // What is ours by preference anyway, and all that rustls offers here.
            client = client.signature_schemes([SignatureScheme::RSA_PSS_RSAE_SHA256]);
        }
        let client = client.build().unwrap();
        let certified = CertifiedKey::from_der(setup.identity.chain.clone(), &setup.identity.key).unwrap();
        let server = server
            .certificate(certified)
            .min_version(version)
            .max_version(version)
            .cipher_suites([suite])
            .groups(groups())
            .build()
            .unwrap();
        Some(Self {
            connector: TlsConnector::new(client.clone()),
            acceptor: TlsAcceptor::new(server.clone()),
            client,
            server,
            name: ServerName::try_from(SERVER_NAME).unwrap(),
        })
    }

    fn client(&self) -> Running {
        let mut client = Running::new(Driver::client(&self.client, self.name.clone()));
        client.sessions = self
            .client
            .sessions()
            .map(|cache| (Arc::clone(cache), self.client.session_key(&self.name)));
        client.advance();
        client
    }

    fn server(&self) -> Running {
        Running::new(Driver::server(&self.server))
    }

    async fn connect(&self, io: TcpStream) -> TlsStream<TcpStream> {
        self.connector.connect(self.name.clone(), io).await.unwrap()
    }

    async fn accept(&self, io: TcpStream) -> TlsStream<TcpStream> {
        self.acceptor.accept(io).await.unwrap()
    }
}

fn suite(setup: &Setup<'_>) -> CipherSuite {
    match (setup.version, setup.identity.kind, setup.suite) {
        (Version::Tls13, _, Suite::Aes128Gcm) => CipherSuite::TLS_AES_128_GCM_SHA256,
        (Version::Tls13, _, Suite::Aes256Gcm) => CipherSuite::TLS_AES_256_GCM_SHA384,
        (Version::Tls13, _, Suite::ChaCha20Poly1305) => CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        (Version::Tls12, KeyKind::EcdsaP256, Suite::Aes128Gcm) => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        (Version::Tls12, KeyKind::EcdsaP256, Suite::Aes256Gcm) => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        (Version::Tls12, KeyKind::EcdsaP256, Suite::ChaCha20Poly1305) => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        (Version::Tls12, KeyKind::Rsa2048, Suite::Aes128Gcm) => {
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        }
        (Version::Tls12, KeyKind::Rsa2048, Suite::Aes256Gcm) => {
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        }
        (Version::Tls12, KeyKind::Rsa2048, Suite::ChaCha20Poly1305) => {
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
    }
}

/// A handshake under way.
pub struct Running {
    driver: Driver,
    done: bool,
    /// Where a client keeps what it can resume.
    sessions: Option<(Arc<dyn ClientSessionCache>, SessionKey)>,
}

impl Running {
    fn new(driver: Driver) -> Self {
        Self {
            driver,
            done: false,
            sessions: None,
        }
    }

    fn advance(&mut self) {
        self.done = self.driver.advance().unwrap() == Progress::Done;
    }
}

impl Handshake for Running {
    type Connection = tls_core::Connection;

    fn receive(&mut self, wire: &[u8]) {
        self.driver.receive(wire);
        self.advance();
    }

    fn transmit(&mut self, wire: &mut Vec<u8>) {
        wire.extend_from_slice(&self.driver.transmit());
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn into_connection(self) -> tls_core::Connection {
        let mut connection = self.driver.into_connection().unwrap();
        if let Some((cache, key)) = &self.sessions {
            // What tls-tokio does when the application reads.
            while connection.reader.has_buffered() {
                connection.reader.process().unwrap();
            }
            let context = ConnectionContext::new();
            while let Some(session) = connection.reader.take_session() {
                assert!(matches!(cache.put(key, session, &context), Answer::Now(Ok(()))));
            }
            connection.reader.release_if_idle();
        }
        connection
    }
}

impl Connection for tls_core::Connection {
    fn send(&mut self, mut plaintext: &[u8], wire: &mut impl Write) {
        while !plaintext.is_empty() {
            let taken = self.writer.write(plaintext).unwrap();
            plaintext = &plaintext[taken..];
            let pending = self.writer.pending();
            let sent = wire.write(pending).unwrap();
            assert_eq!(sent, pending.len(), "memory takes everything");
            self.writer.sent(sent);
        }
    }

    fn receive(&mut self, mut wire: &[u8], buffer: &mut [u8]) -> usize {
        let mut total = 0;
        while !wire.is_empty() {
            let space = self.reader.space();
            let taken = wire.len().min(space.len());
            space[..taken].copy_from_slice(&wire[..taken]);
            wire = &wire[taken..];
            self.reader.filled(taken);
            loop {
                match self.reader.read_into(buffer) {
                    0 => break,
                    read => total += read,
                }
            }
            self.reader.process().unwrap();
        }
        // What a driver does when its transport has nothing more.
        self.reader.release_if_idle();
        total
    }

    fn is_resumed(&self) -> bool {
        self.negotiated().is_resumed()
    }
}
