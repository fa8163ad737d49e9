//! OpenSSL as the peer: `openssl s_server` for our client and `openssl s_client` for our server, as processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

/// Makes a test for each version of each of these functions, which take the option of OpenSSL for it.
macro_rules! both_versions {
    ($($name:ident,)*) => {
        both_versions!(tls1_2, "-tls1_2", $($name)*);
        both_versions!(tls1_3, "-tls1_3", $($name)*);
    };
    ($module:ident, $option:literal, $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $name() {
                    Box::pin(super::$name($option)).await;
                }
            )*
        }
    };
}

mod client_auth;
mod closing;
mod early_data;
mod endings;
mod key_update;
mod matrix;
mod negotiation;
mod records;
mod refusals;
mod resumption;
mod resumption12;
mod tls12;
mod versions;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{AlertDescription, ClientConfigBuilder, ErrorKind, ServerConfigBuilder};
use tls_tests::pki::{Authority, Identity, IdentityFiles, KeyType};
use tls_tests::process::{Finished, LIMIT};
use tls_tokio::{
    CertifiedKey, ClientConfig, Error, RootStore, ServerConfig, ServerName, Shutdown, TlsAcceptor,
    TlsConnector, TlsStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// An authority, and a directory for what it issues.
struct World {
    directory: TempDir,
    authority: Authority,
    root: PathBuf,
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let root = authority.write_root(directory.path());
        Self {
            directory,
            authority,
            root,
        }
    }

    /// The root as an argument of `-CAfile`.
    fn root(&self) -> &str {
        path(&self.root)
    }

    /// A good identity for localhost.
    fn localhost(&self, key_type: KeyType) -> Identity {
        self.authority.leaf(key_type, &["localhost", "127.0.0.1"])
    }

    fn files(&self, identity: &Identity, name: &str) -> IdentityFiles {
        identity.write_to(self.directory.path(), name)
    }

    /// A good identity for localhost as files for `s_server`.
    fn localhost_files(&self, key_type: KeyType) -> IdentityFiles {
        self.files(&self.localhost(key_type), &format!("{key_type:?}"))
    }

    /// A client that trusts this authority.
    fn client(&self) -> ClientConfigBuilder {
        ClientConfig::builder().roots(RootStore::from_pem(self.authority.root_pem().as_bytes()).unwrap())
    }

    /// A server with a good P-256 identity for localhost.
    fn server(&self) -> ServerConfigBuilder {
        ServerConfig::builder().certificate(certified(&self.localhost(KeyType::P256)))
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn certified(identity: &Identity) -> CertifiedKey {
    CertifiedKey::from_der(identity.chain(), &identity.key()).unwrap()
}

type Established = Result<TlsStream<TcpStream>, Error>;

/// Our client, to an `s_server`, for the name "localhost".
async fn connect(address: SocketAddr, config: ClientConfig) -> Established {
    connect_as(address, config, "localhost").await
}

async fn connect_as(address: SocketAddr, config: ClientConfig, name: &str) -> Established {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected = TlsConnector::new(config)
        .handshake_timeout(Some(LIMIT))
        .connect(name, tcp)
        .await;
    connected.map_err(Error::from)
}

/// Our server, for one connection at a time.
struct Listener(TcpListener);

impl Listener {
    async fn new() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    async fn accept(&self, config: ServerConfig) -> Established {
        let tcp = timeout(LIMIT, self.0.accept()).await.expect("a client comes");
        let (tcp, _) = tcp.unwrap();
        tcp.set_nodelay(true).unwrap();
        let accepted = TlsAcceptor::new(config)
            .handshake_timeout(Some(LIMIT))
            .accept(tcp)
            .await;
        accepted.map_err(Error::from)
    }
}

/// Reads exactly this.
async fn expect(stream: &mut TlsStream<TcpStream>, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    let read = timeout(LIMIT, stream.read_exact(&mut got));
    read.await
        .unwrap_or_else(|_| panic!("waited in vain for {} bytes", expected.len()))
        .unwrap();
    assert!(got == expected, "other data came than was sent");
}

async fn send(stream: &mut TlsStream<TcpStream>, data: &[u8]) {
    let sent = timeout(LIMIT, async {
        stream.write_all(data).await.unwrap();
        stream.flush().await.unwrap();
    });
    sent.await.expect("the peer takes what we send");
}

/// Closes, and expects the peer to close too.
async fn close(stream: &mut TlsStream<TcpStream>) {
    let end = stream.graceful_shutdown(Duration::from_secs(10)).await;
    assert!(matches!(end, Shutdown::Clean), "{end:?}");
}

/// That nothing in the output of an OpenSSL program speaks of an error.
fn assert_no_error(finished: &Finished) {
    let text = finished.text();
    for sign in ["unexpected eof", "alert number", ":error:", "ERROR", "errno="] {
        assert!(!text.contains(sign), "{sign}: {text}");
    }
}

fn kind(error: &Error) -> &ErrorKind {
    match error {
        Error::Tls(error) => error.kind(),
        other => panic!("{other}"),
    }
}

/// That the peer refused, with this alert.
fn assert_refused_with(error: &Error, alert: AlertDescription) {
    assert!(
        matches!(kind(error), ErrorKind::AlertReceived(got) if *got == alert),
        "{alert} was expected: {error}"
    );
}

/// Bytes without a pattern that could hide a shift; different for different seeds.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut data: Vec<u8> = (0..length.div_ceil(4))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    data.truncate(length);
    data
}
