//! rustls and tokio-rustls, with aws-lc-rs.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::{Resumption as Sessions, Tls12Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::identity::{KeyKind, SERVER_NAME};
use crate::stack::{Connection, Group, Handshake, Resumption, Setup, Stack, Suite, Version};

/// rustls, configured.
pub struct Rustls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
}

impl Stack for Rustls {
    type ClientHandshake = rustls::ClientConnection;
    type ServerHandshake = rustls::ServerConnection;
    type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;
    type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

    fn new(setup: &Setup<'_>) -> Option<Self> {
        let provider = Arc::new(provider(setup));
        let versions = match setup.version {
            Version::Tls12 => [&rustls::version::TLS12],
            Version::Tls13 => [&rustls::version::TLS13],
        };
        let mut roots = RootCertStore::empty();
        roots.add(setup.identity.root.clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = match setup.resumption {
            None => Sessions::disabled(),
            Some(Resumption::SessionId) => {
                Sessions::default().tls12_resumption(Tls12Resumption::SessionIdOnly)
            }
            Some(_) => Sessions::default(),
        };
        client.require_ems = true;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(setup.identity.chain.clone(), setup.identity.key.clone_key())
            .unwrap();
        server.require_ems = true;
        match setup.resumption {
            Some(way) => {
                server.session_storage = match way {
                    Resumption::SessionId => ServerSessionMemoryCache::new(20_000),
                    _ => Arc::new(NoServerSessionStorage {}),
                };
                let ticketer = aws_lc_rs::Ticketer::new().unwrap();
                match way {
                    Resumption::Tickets(count) => {
                        server.ticketer = ticketer;
                        server.send_tls13_tickets = count.into();
                    }
                    Resumption::OldTicket => server.ticketer = Arc::new(OneTicket::of(ticketer)),
                    Resumption::RenewedTicket => server.ticketer = ticketer,
                    Resumption::SessionId => {}
                }
            }
            None if setup.tickets => {}
            None => {
                // None are sent in TLS 1.2 unless a ticketer is given.
                server.send_tls13_tickets = 0;
                server.session_storage = Arc::new(NoServerSessionStorage {});
            }
        }
        Some(Self {
            client: Arc::new(client),
            server: Arc::new(server),
            name: ServerName::try_from(SERVER_NAME).unwrap(),
        })
    }

    fn client(&self) -> Self::ClientHandshake {
        rustls::ClientConnection::new(self.client.clone(), self.name.clone()).unwrap()
    }

    fn server(&self) -> Self::ServerHandshake {
        rustls::ServerConnection::new(self.server.clone()).unwrap()
    }

    async fn connect(&self, io: TcpStream) -> Self::ClientStream {
        TlsConnector::from(self.client.clone())
            .connect(self.name.clone(), io)
            .await
            .unwrap()
    }

    async fn accept(&self, io: TcpStream) -> Self::ServerStream {
        TlsAcceptor::from(self.server.clone()).accept(io).await.unwrap()
    }
}

/// Makes one ticket and opens it for ever: rustls asks whether it is enabled before it promises a ticket of TLS 1.2,
/// but not before it opens one.
#[derive(Debug)]
struct OneTicket {
    ticketer: Arc<dyn ProducesTickets>,
    is_made: AtomicBool,
}

impl OneTicket {
    fn of(ticketer: Arc<dyn ProducesTickets>) -> Self {
        Self {
            ticketer,
            is_made: AtomicBool::new(false),
        }
    }
}

impl ProducesTickets for OneTicket {
    fn enabled(&self) -> bool {
        !self.is_made.load(Ordering::Relaxed)
    }

    fn lifetime(&self) -> u32 {
        self.ticketer.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        assert!(
            !self.is_made.swap(true, Ordering::Relaxed),
            "it was said that no ticket is made any more"
        );
        self.ticketer.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.ticketer.decrypt(cipher)
    }
}

fn provider(setup: &Setup<'_>) -> CryptoProvider {
    let group = |group: &Group| match group {
        Group::X25519 => aws_lc_rs::kx_group::X25519,
        Group::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
    };
    let mut provider = CryptoProvider {
        cipher_suites: vec![suite(setup)],
        kx_groups: setup.groups.iter().map(group).collect(),
        ..aws_lc_rs::default_provider()
    };
    if setup.identity.kind == KeyKind::Rsa2048 {
        // By default the server prefers SHA-512, which is slower.
        let mapping = &mut provider.signature_verification_algorithms.mapping;
        let is_sha256 = |(scheme, _): &(SignatureScheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA256;
        let at = mapping.iter().position(is_sha256).unwrap();
        *mapping = &mapping[at..=at];
    }
    provider
}

fn suite(setup: &Setup<'_>) -> SupportedCipherSuite {
    use aws_lc_rs::cipher_suite as suites;
    match (setup.version, setup.identity.kind, setup.suite) {
        (Version::Tls13, _, Suite::Aes128Gcm) => suites::TLS13_AES_128_GCM_SHA256,
        (Version::Tls13, _, Suite::Aes256Gcm) => suites::TLS13_AES_256_GCM_SHA384,
        (Version::Tls13, _, Suite::ChaCha20Poly1305) => suites::TLS13_CHACHA20_POLY1305_SHA256,
        (Version::Tls12, KeyKind::EcdsaP256, Suite::Aes128Gcm) => {
            suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        (Version::Tls12, KeyKind::EcdsaP256, Suite::Aes256Gcm) => {
            suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        (Version::Tls12, KeyKind::EcdsaP256, Suite::ChaCha20Poly1305) => {
            suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        (Version::Tls12, KeyKind::Rsa2048, Suite::Aes128Gcm) => suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        (Version::Tls12, KeyKind::Rsa2048, Suite::Aes256Gcm) => suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        (Version::Tls12, KeyKind::Rsa2048, Suite::ChaCha20Poly1305) => {
            suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
    }
}

/// The two connection types have the same methods, but no trait in common that has them all.
macro_rules! side {
    ($connection:ty) => {
        impl Handshake for $connection {
            type Connection = Self;

            fn receive(&mut self, mut wire: &[u8]) {
                while !wire.is_empty() {
                    self.read_tls(&mut wire).unwrap();
                    self.process_new_packets().unwrap();
                }
            }

            fn transmit(&mut self, wire: &mut Vec<u8>) {
                while self.wants_write() {
                    self.write_tls(wire).unwrap();
                }
            }

            fn is_done(&self) -> bool {
                !self.is_handshaking()
            }

            fn into_connection(self) -> Self {
                self
            }
        }

        impl Connection for $connection {
            fn send(&mut self, mut plaintext: &[u8], wire: &mut impl Write) {
                // `write` takes what fits into rustls's own buffer, 64 KiB by default.
                while !plaintext.is_empty() {
                    let taken = self.writer().write(plaintext).unwrap();
                    plaintext = &plaintext[taken..];
                    while self.wants_write() {
                        self.write_tls(wire).unwrap();
                    }
                }
            }

            fn receive(&mut self, mut wire: &[u8], buffer: &mut [u8]) -> usize {
                let mut total = 0;
                while !wire.is_empty() {
                    self.read_tls(&mut wire).unwrap();
                    self.process_new_packets().unwrap();
                    loop {
                        match self.reader().read(buffer) {
                            Ok(read) => total += read,
                            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                total
            }

            fn is_resumed(&self) -> bool {
                self.handshake_kind() == Some(HandshakeKind::Resumed)
            }
        }
    };
}

side!(rustls::ClientConnection);
side!(rustls::ServerConnection);
