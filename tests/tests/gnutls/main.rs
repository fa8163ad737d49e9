//! GnuTLS as the peer: one more implementation that is neither ours nor OpenSSL's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod closing;
mod resumption;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{CipherSuite, ClientConfigBuilder, NamedGroup, ProtocolVersion, ServerConfigBuilder};
use tls_tests::pki::{Authority, Identity, KeyType};
use tls_tests::process::{LIMIT, Process, require_or_skip};
use tls_tokio::{
    CertifiedKey, ClientConfig, HandshakeFailure, RootStore, ServerConfig, ServerName, Shutdown, TlsAcceptor,
    TlsConnector, TlsStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Suite and group with their names in GnuTLS's priority strings, and the type of the certificate's key. A group of
/// TLS 1.3 that is not X25519 asks for a HelloRetryRequest, where GnuTLS is the server.
type Case = (CipherSuite, &'static str, NamedGroup, &'static str, KeyType);

const TLS13: [Case; 5] = [
    (
        CipherSuite::TLS_AES_128_GCM_SHA256,
        "AES-128-GCM",
        NamedGroup::X25519,
        "GROUP-X25519",
        KeyType::P256,
    ),
    (
        CipherSuite::TLS_AES_256_GCM_SHA384,
        "AES-256-GCM",
        NamedGroup::SECP384R1,
        "GROUP-SECP384R1",
        KeyType::Rsa2048,
    ),
    (
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        "CHACHA20-POLY1305",
        NamedGroup::SECP521R1,
        "GROUP-SECP521R1",
        KeyType::Ed25519,
    ),
    (
        CipherSuite::TLS_AES_128_GCM_SHA256,
        "AES-128-GCM",
        NamedGroup::SECP256R1,
        "GROUP-SECP256R1",
        KeyType::P384,
    ),
    (
        CipherSuite::TLS_AES_256_GCM_SHA384,
        "AES-256-GCM",
        NamedGroup::X25519,
        "GROUP-X25519",
        KeyType::P521,
    ),
];

/// The key exchange stands before the cipher.
const TLS12: [Case; 7] = [
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA:+AES-128-GCM",
        NamedGroup::X25519,
        "GROUP-X25519",
        KeyType::P256,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA:+AES-256-GCM",
        NamedGroup::SECP384R1,
        "GROUP-SECP384R1",
        KeyType::P384,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA:+CHACHA20-POLY1305",
        NamedGroup::SECP521R1,
        "GROUP-SECP521R1",
        KeyType::P521,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA:+AES-128-GCM",
        NamedGroup::SECP256R1,
        "GROUP-SECP256R1",
        KeyType::Ed25519,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA:+AES-128-GCM",
        NamedGroup::SECP256R1,
        "GROUP-SECP256R1",
        KeyType::Rsa2048,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA:+AES-256-GCM",
        NamedGroup::SECP521R1,
        "GROUP-SECP521R1",
        KeyType::Rsa3072,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA:+CHACHA20-POLY1305",
        NamedGroup::X25519,
        "GROUP-X25519",
        KeyType::Rsa2048,
    ),
];

/// What goes each way, as lines.
const SIZE: usize = 200_000;

fn cases() -> impl Iterator<Item = (ProtocolVersion, Case, String)> {
    let tls13 = TLS13.into_iter().map(|case| {
        let priority = format!(
            "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{}:-GROUP-ALL:+{}",
            case.1, case.3
        );
        (ProtocolVersion::TLS13, case, priority)
    });
    let tls12 = TLS12.into_iter().map(|case| {
        let priority = format!(
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:-CIPHER-ALL:+{}:-GROUP-ALL:+{}",
            case.1, case.3
        );
        (ProtocolVersion::TLS12, case, priority)
    });
    tls13.chain(tls12)
}

#[tokio::test]
async fn our_client_talks_to_gnutls() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let world = World::new();
    for (version, (suite, _, group, _, key_type), priority) in cases() {
        let (server, address) = world.gnutls_serv(key_type, &priority).await;
        let mut stream = world.connect(address, world.client()).await.unwrap();
        let info = stream.info();
        assert_eq!(
            (info.version(), info.cipher_suite(), info.group()),
            (version, suite, Some(group))
        );
        let is_tls13 = version == ProtocolVersion::TLS13;
        assert_eq!(
            info.had_hello_retry_request(),
            is_tls13 && group != NamedGroup::X25519
        );
        for round in 0..5 {
            if round == 3 && is_tls13 {
                stream.request_key_update().unwrap();
            }
            echoed(&mut stream, format!("line {round} for an echo\n").as_bytes()).await;
        }
        for piece in lines(SIZE).chunks(4000) {
            echoed(&mut stream, piece).await;
        }
        close(&mut stream).await;
        server.kill().await;
    }
}

#[tokio::test]
async fn gnutls_talks_to_our_server() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    let world = World::new();
    for (version, (suite, _, group, _, key_type), priority) in cases() {
        // In TLS 1.2 a client names the curves of the certificates that it takes as groups: the choice is left to us.
        let curves = match version {
            ProtocolVersion::TLS12 => ":+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1",
            _ => "",
        };
        let priority = priority + curves;
        let (mut client, accepted) = world
            .gnutls_cli(key_type, &priority, |server| server.groups([group]))
            .await;
        let mut stream = accepted.unwrap();
        let info = stream.info();
        assert_eq!(
            (info.version(), info.cipher_suite(), info.group()),
            (version, suite, Some(group))
        );
        assert_eq!(info.server_name(), Some("localhost"));
        client.send(b"a line from GnuTLS\n").await.unwrap();
        received(&mut stream, b"a line from GnuTLS\n").await;
        if version == ProtocolVersion::TLS13 {
            stream.request_key_update().unwrap();
        }
        stream
            .write_all(b"an answer, perhaps under a new key\n")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        client.wait_for("an answer, perhaps under a new key").await;

        let data = lines(SIZE);
        let (sent, ()) = tokio::join!(client.send(&data), received(&mut stream, &data));
        sent.unwrap();
        stream.write_all(&data).await.unwrap();
        stream.flush().await.unwrap();
        client
            .wait_until("has all we sent", |client| {
                let stdout = client.stdout();
                stdout.len() > SIZE && stdout.windows(SIZE).any(|part| part == data)
            })
            .await;
        client.close_stdin();
        ended(&mut stream).await;
        close(&mut stream).await;
        let finished = client.finish().await;
        let text = finished.text();
        assert!(finished.status.success(), "{text}");
        assert!(text.contains("The certificate is trusted"), "{text}");
    }
}

/// Switches GnuTLS's extended main secret off.
const NO_EXTENDED_MAIN_SECRET: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH";

/// Switches its renegotiation_info off.
const NO_SECURE_RENEGOTIATION: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION";

#[tokio::test]
async fn a_server_without_the_extensions_we_require_is_refused_unless_they_may_be_missing() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let world = World::new();
    type Allow = fn(ClientConfigBuilder) -> ClientConfigBuilder;
    let cases: [(&str, &str, Allow); 2] = [
        (
            NO_EXTENDED_MAIN_SECRET,
            "allow_missing_extended_main_secret()",
            ClientConfigBuilder::allow_missing_extended_main_secret,
        ),
        (
            NO_SECURE_RENEGOTIATION,
            "allow_missing_renegotiation_info()",
            ClientConfigBuilder::allow_missing_renegotiation_info,
        ),
    ];
    for (priority, hint, allow) in cases {
        let (server, address) = world.gnutls_serv(KeyType::P256, priority).await;
        let error = world.connect(address, world.client()).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
        server.wait_for("fatal alert").await;
        let mut stream = world.connect(address, allow(world.client())).await.unwrap();
        echoed(&mut stream, b"all the same\n").await;
        close(&mut stream).await;
        server.kill().await;
    }
}

#[tokio::test]
async fn a_client_without_the_extended_main_secret_is_refused_unless_it_may_be_missing() {
    if !require_or_skip("gnutls-cli") {
        return;
    }
    let world = World::new();
    let (client, refused) = world
        .gnutls_cli(KeyType::P256, NO_EXTENDED_MAIN_SECRET, |server| server)
        .await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("allow_missing_extended_main_secret()"), "{error}");
    let finished = client.finish().await;
    assert!(
        finished.text().contains("Received alert [40]"),
        "{}",
        finished.text()
    );

    // A client that does not speak of renegotiation is harmless: it is the client that is in danger (RFC 5746 3.6).
    for (priority, allow) in [(NO_EXTENDED_MAIN_SECRET, true), (NO_SECURE_RENEGOTIATION, false)] {
        let (mut client, accepted) = world
            .gnutls_cli(KeyType::P256, priority, |server| match allow {
                true => server.allow_missing_extended_main_secret(),
                false => server,
            })
            .await;
        let mut stream = accepted.unwrap();
        client.send(b"all the same\n").await.unwrap();
        received(&mut stream, b"all the same\n").await;
        client.close_stdin();
        ended(&mut stream).await;
        close(&mut stream).await;
        assert!(client.finish().await.status.success());
    }
}

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

    fn client(&self) -> ClientConfigBuilder {
        ClientConfig::builder().roots(RootStore::from_pem(self.authority.root_pem().as_bytes()).unwrap())
    }

    async fn connect(
        &self,
        address: SocketAddr,
        config: ClientConfigBuilder,
    ) -> Result<TlsStream<TcpStream>, HandshakeFailure<TcpStream>> {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::new(config.build().unwrap())
            .connect(name, tcp)
            .await
    }

    /// `gnutls-cli` with this priority string, and what our server makes of it.
    async fn gnutls_cli(
        &self,
        key_type: KeyType,
        priority: &str,
        configure: impl FnOnce(ServerConfigBuilder) -> ServerConfigBuilder,
    ) -> (Process, Result<TlsStream<TcpStream>, HandshakeFailure<TcpStream>>) {
        let identity = self.authority.leaf(key_type, &["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let arguments = [
            "--x509cafile",
            path(&self.root),
            "--sni-hostname",
            "localhost",
            "--verify-hostname",
            "localhost",
            "--priority",
            priority,
            "--port",
            &port,
            "127.0.0.1",
        ];
        let client = Process::spawn("gnutls-cli", arguments);
        let key = CertifiedKey::from_der(identity.chain(), &identity.key()).unwrap();
        let config = configure(ServerConfig::builder().certificate(key))
            .build()
            .unwrap();
        let (tcp, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        tcp.set_nodelay(true).unwrap();
        // Boxed: the handshake's future would make that of every test large.
        let accepted = Box::pin(TlsAcceptor::new(config).accept(tcp)).await;
        (client, accepted)
    }

    async fn gnutls_serv(&self, key_type: KeyType, priority: &str) -> (Process, SocketAddr) {
        let identity = self.authority.leaf(key_type, &["localhost"]);
        gnutls_serv(&identity, self.directory.path(), priority).await
    }
}

/// `gnutls-serv --echo` on a free port, listening.
async fn gnutls_serv(identity: &Identity, directory: &Path, priority: &str) -> (Process, SocketAddr) {
    let files = identity.write_to(directory, "server");
    // It cannot choose a port itself: take one that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let arguments = [
        "--x509certfile",
        path(&files.chain),
        "--x509keyfile",
        path(&files.key),
        "--echo",
        "--quiet",
        "--priority",
        priority,
        "--port",
        &port.to_string(),
    ];
    let server = Process::spawn("gnutls-serv", arguments);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listens = timeout(LIMIT, async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(
        listens.await.is_ok(),
        "gnutls-serv does not listen\n{}",
        server.text()
    );
    (server, address)
}

/// Lines of 50 bytes that are all different.
fn lines(size: usize) -> Vec<u8> {
    let all: String = (0..size / 50).map(|number| format!("{number:-<49}\n")).collect();
    all.into_bytes()
}

/// Reads exactly this.
async fn received(stream: &mut TlsStream<TcpStream>, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    timeout(LIMIT, stream.read_exact(&mut got))
        .await
        .expect("data")
        .unwrap();
    assert!(got == expected, "other data came than was sent");
}

/// Waits for the peer's close_notify. GnuTLS sends none where ours comes first.
async fn ended(stream: &mut TlsStream<TcpStream>) {
    let end = timeout(LIMIT, stream.read(&mut [0; 16])).await;
    assert_eq!(end.expect("an end").unwrap(), 0);
}

/// Sends this and reads it back.
async fn echoed(stream: &mut TlsStream<TcpStream>, line: &[u8]) {
    stream.write_all(line).await.unwrap();
    stream.flush().await.unwrap();
    received(stream, line).await;
}

async fn close(stream: &mut TlsStream<TcpStream>) {
    let end = stream.graceful_shutdown(Duration::from_secs(10)).await;
    assert!(matches!(end, Shutdown::Clean), "{end:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
