//! RFC 9113 section 9.2: what HTTP/2 asks of TLS.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get as route;
use hyper::Version;
use tls_hyper::tls_tokio::{CipherSuite, ProtocolVersion};
use tls_hyper::{HttpsConnector, TlsInfo};
use tls_tests::openssl::{curl, s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tests::versions::Only as _;

use crate::support::{Server, World, certified, client, get, tcp};

fn hello() -> Router {
    Router::new().route("/", route(|| async { "hello" }))
}

/// The suites of TLS 1.2 that HTTP/2 may use here: with an ephemeral key exchange and an AEAD. Appendix A, the list of
/// those that it may not, has none of this kind.
const GOOD_SUITES: [CipherSuite; 6] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

#[tokio::test]
async fn every_suite_of_tls_1_2_will_do() {
    let world = World::new();
    for suite in GOOD_SUITES {
        let key_type = if format!("{suite}").contains("ECDSA") {
            KeyType::P256
        } else {
            KeyType::Rsa2048
        };
        let identity = world.authority.leaf(key_type, &["localhost"]);
        let config = tls_hyper::ServerConfig::builder()
            .certificate(certified(&identity))
            .alpn(["h2"])
            .only(ProtocolVersion::TLS12);
        let server = Server::start(config.build().unwrap(), hello()).await;
        let config = world
            .client_config()
            .only(ProtocolVersion::TLS12)
            .cipher_suites([suite]);
        let builder = HttpsConnector::builder()
            .with_tls_config(config.build().unwrap())
            .enable_http2();
        let (response, _) = get(&client(builder.wrap_connector(tcp()).unwrap()), server.uri("/")).await;
        assert_eq!(response.version(), Version::HTTP_2);
        let info = response.extensions().get::<TlsInfo>().unwrap();
        assert_eq!(
            (info.version(), info.cipher_suite()),
            (ProtocolVersion::TLS12, suite)
        );
    }
}

#[tokio::test]
async fn no_other_suite_of_tls_1_2_can_be_configured() {
    let world = World::new();
    for suite in (0..=u16::MAX).map(CipherSuite) {
        let is_tls13 = suite.0 >> 8 == 0x13;
        let built = world.client_config().cipher_suites([suite]).build();
        assert_eq!(built.is_ok(), is_good(suite), "{suite}");
        if built.is_ok() && !is_tls13 {
            assert!(GOOD_SUITES.contains(&suite), "{suite}");
        }
    }
}

/// Those of TLS 1.3, which HTTP/2 may use all, and the good ones of TLS 1.2.
fn is_good(suite: CipherSuite) -> bool {
    matches!(suite.0, 0x1301..=0x1303) || GOOD_SUITES.contains(&suite)
}

#[tokio::test]
async fn a_client_that_offers_only_prohibited_suites_is_refused() {
    if !require_or_skip("curl") {
        return;
    }
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let root = world.authority.write_root(directory.path());
    let server = world.serve(hello()).await;
    let url = format!("https://localhost:{}/", server.address.port());
    let address = format!("localhost:{}:127.0.0.1", server.address.port());
    let fetch = async |ciphers: &str| {
        let line = [
            "--resolve",
            &address,
            "--cacert",
            root.to_str().unwrap(),
            "--http2",
            "--tls-max",
            "1.2",
        ];
        curl(
            &[
                &line[..],
                &["--ciphers", ciphers, "--write-out", " %{http_version}", &url],
            ]
            .concat(),
        )
        .finish()
        .await
    };
    for prohibited in [
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384",
        "AES128-GCM-SHA256",
    ] {
        let refused = fetch(prohibited).await;
        assert_eq!(
            refused.status.code(),
            Some(35),
            "{prohibited}: {}",
            refused.text()
        );
    }
    let good = fetch("ECDHE-ECDSA-AES128-GCM-SHA256").await;
    assert_eq!(good.stdout, b"hello 2", "{}", good.text());
}

#[tokio::test]
async fn a_server_that_has_only_prohibited_suites_is_refused() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let files = world.server.write_to(directory.path(), "server");
    for prohibited in ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"] {
        let server = s_server(&files, &["-tls1_2", "-cipher", prohibited, "-alpn", "h2"]).await;
        let client = client(world.connector().enable_http2().wrap_connector(tcp()).unwrap());
        let uri = format!("https://localhost:{}/", server.address.port())
            .parse()
            .unwrap();
        let refused = crate::support::try_get(&client, uri).await.unwrap_err();
        let said = format!("{refused:?}");
        assert!(
            said.contains("Handshake") && said.contains("handshake_failure"),
            "{prohibited}: {said}"
        );
    }
}

#[tokio::test]
async fn a_client_that_renegotiates_is_refused() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let server = world.serve(hello()).await;
    let mut peer = s_client(
        server.address,
        &["-tls1_2", "-alpn", "h2", "-servername", "localhost"],
    );
    peer.wait_for("ALPN protocol: h2").await;
    peer.wait_for("Extended master secret").await;
    peer.send(b"R\n").await.unwrap();
    peer.wait_for("RENEGOTIATING").await;
    let ended = peer.finish().await;
    assert!(
        ended.text().contains("alert no renegotiation"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn a_client_that_sends_no_name_is_served_and_reported() {
    let events = Events::default();
    let writer = events.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _subscribed = tracing::subscriber::set_default(subscriber);
    const REPORT: &str = "HTTP/2 without a server name";
    let world = World::new();
    let server = world.serve(hello()).await;
    let ask = async |builder: tls_hyper::HttpsConnectorBuilder, host: &str| {
        let client = client(builder.wrap_connector(tcp()).unwrap());
        assert_eq!(get(&client, server.uri_at(host, "/")).await.1, "hello");
    };
    ask(world.connector().enable_http2(), "localhost").await;
    // Only HTTP/2 demands it.
    ask(world.connector().enable_http1(), "127.0.0.1").await;
    assert!(!events.text().contains(REPORT), "{}", events.text());
    ask(world.connector().enable_http2(), "127.0.0.1").await;
    assert!(events.text().contains(REPORT), "{}", events.text());
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<u8>>>);

impl Events {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
