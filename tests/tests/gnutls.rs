//! GnuTLS as the peer: one more implementation that is neither ours nor OpenSSL's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{CipherSuite, NamedGroup};
use tls_tests::pki::{Authority, Identity, KeyType};
use tls_tests::process::{LIMIT, Process, require_or_skip};
use tls_tokio::{
    CertifiedKey, ClientConfig, RootStore, ServerConfig, ServerName, Shutdown, TlsAcceptor, TlsConnector,
    TlsStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Suite and group with their names in GnuTLS's priority strings. The second group asks for a HelloRetryRequest,
/// where GnuTLS is the server.
const CASES: [(CipherSuite, &str, NamedGroup, &str, KeyType); 3] = [
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
];

fn priority(cipher: &str, group: &str) -> String {
    format!("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{cipher}:-GROUP-ALL:+{group}")
}

#[tokio::test]
async fn our_client_talks_to_gnutls() {
    if !require_or_skip("gnutls-serv") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    for (suite, cipher, group, group_name, key_type) in CASES {
        let identity = authority.leaf(key_type, &["localhost"]);
        let (server, address) = gnutls_serv(&identity, directory.path(), &priority(cipher, group_name)).await;
        let roots = RootStore::from_pem(authority.root_pem().as_bytes()).unwrap();
        let connector = TlsConnector::new(ClientConfig::builder().roots(roots).build().unwrap());
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();

        let info = stream.info();
        assert_eq!((info.cipher_suite(), info.group()), (suite, group));
        assert_eq!(info.had_hello_retry_request(), group != NamedGroup::X25519);
        for round in 0..5 {
            if round == 3 {
                stream.request_key_update().unwrap();
            }
            echoed(&mut stream, format!("line {round} for an echo\n").as_bytes()).await;
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
    let directory = TempDir::new().unwrap();
    let authority = Authority::new();
    let root = authority.write_root(directory.path());
    for (suite, cipher, group, group_name, key_type) in CASES {
        let identity = authority.leaf(key_type, &["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let priority = priority(cipher, group_name);
        let arguments = [
            "--x509cafile",
            path(&root),
            "--sni-hostname",
            "localhost",
            "--verify-hostname",
            "localhost",
            "--priority",
            &priority,
            "--port",
            &port,
            "127.0.0.1",
        ];
        let mut client = Process::spawn("gnutls-cli", arguments);
        let key = CertifiedKey::from_der(identity.chain(), &identity.key()).unwrap();
        let acceptor = TlsAcceptor::new(ServerConfig::builder().certificate(key).build().unwrap());
        let (tcp, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut stream = acceptor.accept(tcp).await.unwrap();

        let info = stream.info();
        assert_eq!((info.cipher_suite(), info.group()), (suite, group));
        assert_eq!(info.server_name(), Some("localhost"));
        client.send(b"a line from GnuTLS\n").await.unwrap();
        let mut line = [0; 19];
        timeout(LIMIT, stream.read_exact(&mut line))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&line, b"a line from GnuTLS\n");
        stream.request_key_update().unwrap();
        stream.write_all(b"an answer under a new key\n").await.unwrap();
        stream.flush().await.unwrap();
        client.wait_for("an answer under a new key").await;
        client.send(b"the last line\n").await.unwrap();
        let mut line = [0; 14];
        timeout(LIMIT, stream.read_exact(&mut line))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&line, b"the last line\n");
        client.close_stdin();
        assert_eq!(timeout(LIMIT, stream.read(&mut line)).await.unwrap().unwrap(), 0);
        close(&mut stream).await;
        let finished = client.finish().await;
        let text = finished.text();
        assert!(finished.status.success(), "{text}");
        assert!(text.contains("The certificate is trusted"), "{text}");
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

/// Sends this line and reads it back.
async fn echoed(stream: &mut TlsStream<TcpStream>, line: &[u8]) {
    stream.write_all(line).await.unwrap();
    stream.flush().await.unwrap();
    let mut got = vec![0; line.len()];
    timeout(LIMIT, stream.read_exact(&mut got))
        .await
        .expect("an echo")
        .unwrap();
    assert_eq!(got, line);
}

async fn close(stream: &mut TlsStream<TcpStream>) {
    let end = stream.graceful_shutdown(Duration::from_secs(10)).await;
    assert!(matches!(end, Shutdown::Clean), "{end:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
